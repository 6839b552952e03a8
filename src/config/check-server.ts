/** Checks what the shape of `server:` and `control:` can't say: clashes of listeners, files, the token. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import { clash, isLoopback, parseAddress, parseTcpAddress } from "./address.ts";
import type { Address } from "./config.ts";
import { showValue } from "./describe.ts";
import { asText, nodeAt, textAt, type Node, type TextNode } from "./node.ts";
import type { Problems } from "./problems.ts";
import { quoteText } from "../diagnostic/visible-text.ts";

/** @param directory Absolute path of the folder that the config is in. */
export function checkServer(root: Node, directory: string, problems: Problems): void {
  checkListeners(root, problems);
  checkToken(root, problems);
  for (const path of [
    ["server", "tls"],
    ["server", "http2_push", "tls"],
  ]) {
    for (const name of ["cert", "key"]) {
      checkPem(
        textAt(root, ...path, name),
        name === "cert" ? "CERTIFICATE" : "PRIVATE KEY",
        directory,
        problems,
      );
    }
  }
  checkStatic(root, directory, problems);
}

function checkListeners(root: Node, problems: Problems): void {
  const before: { readonly name: string; readonly address: Address }[] = [];
  for (const path of [
    ["server", "listen"],
    ["server", "http2_push", "listen"],
    ["control", "listen"],
  ]) {
    const node = textAt(root, ...path);
    const text = node?.value ?? (path.join(".") === "server.listen" ? "127.0.0.1:8080" : null);
    const address =
      text === null ? null : attempt(path[0] === "control" ? parseAddress : parseTcpAddress, text);
    if (!address) continue;
    const other = before.find((one) => clash(one.address, address));
    const place = node ?? nodeAt(root, ...path.slice(0, -1));
    if (other && place) {
      const message = `${showValue(place)} is where ${other.name} listens already`;
      problems.report("listen-clash", place.span, message, "give it another port");
    }
    before.push({ name: path.join("."), address });
  }
}

function checkToken(root: Node, problems: Problems): void {
  const listen = textAt(root, "control", "listen");
  const address = listen && attempt(parseAddress, listen.value);
  if (!listen || !address || isLoopback(address) || nodeAt(root, "control", "token")) return;
  problems.report(
    "token-needed",
    listen.span,
    `the control listener needs a token: others can reach ${showValue(listen)}`,
    `add "token: \${TIDEWIRE_TOKEN}", or listen on 127.0.0.1`,
  );
}

function attempt<T>(parse: (text: string) => T, text: string): T | null {
  try {
    return parse(text);
  } catch {
    // The shape's check has told it.
    return null;
  }
}

function checkPem(
  node: TextNode | null,
  label: string,
  directory: string,
  problems: Problems,
): void {
  if (!node || !checkFile(node, resolve(directory, node.value), problems)) return;
  const pem = readFileSync(resolve(directory, node.value), "latin1");
  if (new RegExp(`-----BEGIN [A-Z0-9 ]*${label}-----`).test(pem)) return;
  const message = `${showValue(node)} holds no PEM ${label.toLowerCase()}`;
  problems.report("bad-certificate", node.span, message, `it starts with -----BEGIN ${label}-----`);
}

function checkFile(node: TextNode, file: string, problems: Problems): boolean {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile()) return true;
  const message = stat
    ? `${showValue(node)} is ${stat.isDirectory() ? "a folder" : "something else"}, not a file`
    : `the file ${showValue(node)} does not exist`;
  problems.report(
    "no-such-file",
    node.span,
    message,
    node.origin || stat ? null : `it is looked for at ${file}`,
  );
  return false;
}

function checkStatic(root: Node, directory: string, problems: Problems): void {
  const folder = textAt(root, "server", "static", "root");
  if (!folder?.value) return;
  const path = resolve(directory, folder.value);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) {
    const message = stat
      ? `${showValue(folder)} is not a folder`
      : `the folder ${showValue(folder)} does not exist`;
    problems.report(
      "no-such-folder",
      folder.span,
      message,
      folder.origin || stat ? null : `it is looked for at ${path}`,
    );
    return;
  }
  const push = nodeAt(root, "server", "static", "push");
  for (const [page, entry] of push?.kind === "map" ? push.entries : []) {
    const wrong = findMistake(path, page);
    if (wrong)
      problems.report("bad-push", entry.key, `${quoteText(page)} ${wrong.message}`, wrong.help);
    for (const item of entry.value.kind === "list" ? entry.value.items : []) {
      const target = asText(item);
      const mistake = target && findMistake(path, target.value);
      if (mistake)
        problems.report(
          "bad-push",
          item.span,
          `${showValue(item)} ${mistake.message}`,
          mistake.help,
        );
    }
  }
}

/** Why a URL path names no file below `root`, as the listener will look for it; null when it does. */
function findMistake(
  root: string,
  urlPath: string,
): { message: string; help: string | null } | null {
  if (!urlPath.startsWith("/")) {
    return {
      message: "is not a URL path",
      help: `did you mean "/${urlPath.replace(/^\.?\//, "")}"?`,
    };
  }
  let names: string[];
  try {
    names = urlPath.slice(1).split("/").map(decodeURIComponent);
  } catch {
    return { message: "has a broken percent-encoding", help: null };
  }
  if (names.at(-1) === "") names[names.length - 1] = "index.html";
  if (names.some((name) => name === "" || name.startsWith(".") || /[/\\\0]/.test(name))) {
    return {
      message: "can't be served: no part of it may be empty or start with a dot",
      help: null,
    };
  }
  const file = join(root, ...names);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
    return { message: "names no file of the static folder", help: `it is looked for at ${file}` };
  }
  const isInside = realpathSync(file).startsWith(realpathSync(root) + sep);
  return isInside ? null : { message: "leads out of the static folder", help: null };
}
