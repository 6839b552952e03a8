/** The certificate of a TLS listener: two PEM files, or one made at start for development. */
import type { Tls } from "../config/config.ts";

/** PEM text. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const DEVELOPMENT_HOSTS = ["localhost", "127.0.0.1", "::1"];
const DAY_MS = 86_400_000;
/** Days a development certificate is valid: a new one is made at each start. */
const VALID_DAYS = 90;

/**
 * Makes a self-signed certificate (EC P-256) in this process, in about 15 ms.
 *
 * @param hosts Names and IP addresses that it is for, beside `localhost`, `127.0.0.1` and `::1`.
 */
export async function developmentCertificate(hosts: readonly string[] = []): Promise<Certificate> {
  const names = [...new Set([...DEVELOPMENT_HOSTS, ...hosts.filter(isNameable)])];
  // Imported when it is needed: it takes longer to load than all the rest of the server.
  const { generate } = await import("selfsigned");
  const { cert, private: key } = await generate(
    [{ name: "commonName", value: "Tidewire development" }],
    {
      keyType: "ec",
      curve: "P-256",
      algorithm: "sha256",
      // An hour back: a container's clock and its host's may differ.
      notBeforeDate: new Date(Date.now() - 3_600_000),
      notAfterDate: new Date(Date.now() + VALID_DAYS * DAY_MS),
      extensions: [
        { name: "basicConstraints", cA: false, critical: true },
        { name: "keyUsage", digitalSignature: true, critical: true },
        { name: "extKeyUsage", serverAuth: true },
        {
          name: "subjectAltName",
          altNames: names.map((name) =>
            isIp(name) ? { type: 7 as const, ip: name } : { type: 2 as const, value: name },
          ),
        },
      ],
    },
  );
  return { cert, key };
}

/**
 * Loads what `tls:` in the config names.
 *
 * @param hosts Hosts that a development certificate is made for, such as the one listened on.
 * @throws {Error} When a file can't be read or is not PEM; the message names the file.
 */
export async function loadTls(tls: Tls, hosts: readonly string[] = []): Promise<Certificate> {
  if (tls === "self-signed") return developmentCertificate(hosts);
  const [cert, key] = await Promise.all([
    readPem(tls.cert, "certificate", /-----BEGIN (TRUSTED )?CERTIFICATE-----/),
    readPem(tls.key, "private key", /-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY-----/),
  ]);
  return { cert, key };
}

async function readPem(path: string, what: string, begin: RegExp): Promise<string> {
  let text: string;
  try {
    text = await Bun.file(path).text();
  } catch (error) {
    throw new Error(`the TLS ${what} can't be read: ${path}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (!begin.test(text)) {
    throw new Error(`${path} is no TLS ${what}: it has no PEM block such as "-----BEGIN …-----"`);
  }
  return text;
}

function isIp(host: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(host) || host.includes(":");
}

/** A wildcard address is listened on, and never asked for. */
function isNameable(host: string): boolean {
  return host !== "" && host !== "0.0.0.0" && host !== "::";
}
