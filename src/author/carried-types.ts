/** The declarations that the executable carries within itself; from source they are collected anew. */
import { join } from "node:path";
import { VERSION } from "../version.ts";

/** Text of each file by its path, with `/`. */
export type Files = Readonly<Record<string, string>>;

/** What build.ts packs: JSON, compressed with zstd. */
export interface CarriedTypes {
  /** The declarations. */
  readonly files: Files;
  /** For each module that an author imports, the file that declares it. */
  readonly modules: Files;
}

/** Put in place by build.ts. */
declare const TIDEWIRE_CARRIES_TYPES: boolean | undefined;

interface Packed {
  /** Names these declarations: the version, and a hash of what is in them. */
  readonly stamp: string;
  readonly unpack: () => Promise<CarriedTypes>;
}

let carried: Promise<Packed> | null = null;

/** The declarations of this Tidewire, unpacked when they are asked for. */
export function carriedTypes(): Promise<Packed> {
  return (carried ??=
    typeof TIDEWIRE_CARRIES_TYPES === "boolean" ? embeddedTypes() : collectedTypes());
}

async function embeddedTypes(): Promise<Packed> {
  // There is no such file on disk: build.ts gives it to the bundler.
  const { default: path } = await import("./types.archive", { with: { type: "file" } });
  const packed = await Bun.file(path).bytes();
  return {
    stamp: stampOf(packed),
    unpack: async () => JSON.parse((await Bun.zstdDecompress(packed)).toString()) as CarriedTypes,
  };
}

async function collectedTypes(): Promise<Packed> {
  // By a path that the bundler does not see: the compiler that it uses is no part of the executable.
  const { collectTypes } = (await import(join(import.meta.dir, "../../build-types.ts"))) as {
    collectTypes(): Promise<CarriedTypes>;
  };
  const types = await collectTypes();
  return { stamp: stampOf(JSON.stringify(types)), unpack: () => Promise.resolve(types) };
}

function stampOf(content: string | Uint8Array): string {
  return `${VERSION} ${Bun.hash.xxHash64(content).toString(36)}`;
}
