/** A certificate for tests of the config, which looks at its PEM labels alone. */
import { generate } from "selfsigned";

export async function createCertificate(): Promise<{ cert: string; key: string }> {
  const made = await generate([{ name: "commonName", value: "localhost" }], { keyType: "ec" });
  return { cert: made.cert, key: made.private };
}
