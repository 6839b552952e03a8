/**
 * Every broken config of cases/ against the whole output that it is expected to give.
 *
 * `UPDATE_CASES=1 bun test src/config/cases.test.ts` writes what is given now: read all that changed.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { parseDocument } from "yaml";
import { formatDiagnostics } from "../diagnostic/diagnostic.ts";
import { resolveFake, SHIPPED } from "./fake-plugins.ts";
import { configJsonSchema } from "./json-schema.ts";
import { loadConfig } from "./load.ts";

const CASES = join(import.meta.dir, "cases");
const ENV = {
  PORT: "8080",
  TOKEN: "s3cret-t0ken",
  EMPTY: "",
  WORD: "abc",
  QUESTION: "a ? s3cret-t0ken",
  EVIL: "clients\nhistory: {}",
};
const names = readdirSync(CASES)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => name.slice(0, -".yaml".length));

const validate = new Ajv({
  allErrors: true,
  strict: true,
  strictTypes: false,
  allowUnionTypes: true,
}).compile(configJsonSchema(SHIPPED));

/** What an editor with the JSON Schema makes of the file. */
function editorSays(text: string): string {
  const document = parseDocument(text, { merge: true, stringKeys: true, logLevel: "silent" });
  if (document.errors.length > 0) return "an editor sees that this is no YAML";
  try {
    return validate(document.toJS())
      ? "an editor's schema can't tell"
      : "an editor's schema tells this too";
  } catch {
    return "an editor sees that this is no YAML";
  }
}

describe("a broken config gives its diagnostics and no config", () => {
  test("at least 40 cases are there", () => expect(names.length).toBeGreaterThanOrEqual(40));

  test.each(names)("%s", async (name) => {
    const file = join(CASES, `${name}.yaml`);
    const result = await loadConfig(file, { env: ENV, resolvePlugin: resolveFake });
    if ("config" in result) throw new Error("a config came of it");
    expect(result.diagnostics.length).toBeGreaterThan(0);
    const output = formatDiagnostics(result.diagnostics).replaceAll(`${CASES}/`, "");
    const actual = `${output}(${editorSays(readFileSync(file, "utf8"))})\n`;
    const expectation = join(CASES, `${name}.txt`);
    if (process.env["UPDATE_CASES"]) writeFileSync(expectation, actual);
    expect(actual).toBe(readFileSync(expectation, "utf8"));
    // What comes from the environment may be a secret.
    expect(actual).not.toContain(ENV.TOKEN);
  });

  test("every expectation has its case", () => {
    const expectations = readdirSync(CASES).filter((name) => name.endsWith(".txt"));
    expect(expectations.map((name) => name.slice(0, -".txt".length)).toSorted()).toEqual(
      names.toSorted(),
    );
  });
});
