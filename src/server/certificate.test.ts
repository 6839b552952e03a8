import { expect, test } from "bun:test";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { developmentCertificate, loadTls } from "./certificate.ts";

test("developmentCertificate() is good for localhost and both loopback addresses", async () => {
  const { cert, key } = await developmentCertificate();
  const parsed = new X509Certificate(cert);
  expect(parsed.checkHost("localhost")).toBe("localhost");
  expect(parsed.checkIP("127.0.0.1")).toBe("127.0.0.1");
  expect(parsed.checkIP("::1")).toBe("::1");
  expect(parsed.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect(parsed.publicKey.asymmetricKeyType).toBe("ec");
  expect(Date.parse(parsed.validFrom)).toBeLessThan(Date.now());
  expect(Date.parse(parsed.validTo)).toBeGreaterThan(Date.now() + 30 * 86_400_000);
});

test("developmentCertificate() adds the hosts it is given, and no wildcard address", async () => {
  const { cert } = await developmentCertificate(["dev.example", "10.1.2.3", "0.0.0.0", "::"]);
  const parsed = new X509Certificate(cert);
  expect(parsed.checkHost("dev.example")).toBe("dev.example");
  expect(parsed.checkIP("10.1.2.3")).toBe("10.1.2.3");
  expect(parsed.checkIP("0.0.0.0")).toBeUndefined();
});

test("developmentCertificate() works in a compiled executable", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-certificate-"));
  try {
    const outfile = join(folder, "certificate");
    const entry = join(folder, "entry.ts");
    await Bun.write(
      entry,
      `import { developmentCertificate } from ${JSON.stringify(join(import.meta.dir, "certificate.ts"))};
       process.stdout.write((await developmentCertificate()).cert);`,
    );
    await Bun.build({ entrypoints: [entry], compile: { outfile }, minify: true });
    const child = Bun.spawn([outfile], { cwd: folder, stdout: "pipe" });
    const cert = new X509Certificate(await new Response(child.stdout).text());
    expect(cert.checkHost("localhost")).toBe("localhost");
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("loadTls() reads PEM files, and names the one that is missing or no PEM", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tidewire-certificate-"));
  try {
    const made = await developmentCertificate();
    const files = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
    await Bun.write(files.cert, made.cert);
    await Bun.write(files.key, made.key);
    expect(await loadTls(files)).toEqual(made);
    const cert = join(folder, "absent.pem");
    await expect(loadTls({ ...files, cert })).rejects.toThrow(
      `the TLS certificate can't be read: ${cert}`,
    );
    await Bun.write(files.key, "not a key");
    await expect(loadTls(files)).rejects.toThrow(`${files.key} is no TLS private key`);
  } finally {
    await rm(folder, { recursive: true });
  }
});
