/** An npm registry for tests: packuments and tarballs over HTTP, as npm's public API has them. */

/** One version of a package. */
export interface Published {
  readonly name: string;
  readonly version: string;
  /** Path in the package to its content; `package.json` is written from what stands here. */
  readonly files: Readonly<Record<string, string>>;
  /** Further keys of its `package.json`: `exports`, `dependencies`, `peerDependencies`, `scripts`. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

export interface Registry extends AsyncDisposable {
  /** Its address, with a slash at the end, as `.npmrc` has it. */
  readonly url: string;
  /** `GET /name`, each request in order. */
  readonly requests: readonly string[];
}

/** The gzipped tarball of a package, its files in a folder named `package`, as `npm pack` makes it. */
export function pack(published: Published): Promise<Uint8Array> {
  const { files } = published;
  const entries = { "package.json": JSON.stringify(manifestOf(published)), ...files };
  const placed = Object.entries(entries).map(([path, content]) => [`package/${path}`, content]);
  return new Bun.Archive(Object.fromEntries(placed), { compress: "gzip" }).bytes();
}

/** Serves packages on a free port of 127.0.0.1; of several versions the last is `latest`. */
export async function startRegistry(packages: readonly Published[]): Promise<Registry> {
  const requests: string[] = [];
  const tarballs = new Map<string, Uint8Array>();
  for (const one of packages) tarballs.set(tarballPath(one), await pack(one));
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname, origin } = new URL(request.url);
      const path = decodeURIComponent(pathname);
      requests.push(`${request.method} ${path}`);
      const tarball = tarballs.get(path);
      if (tarball) return new Response(tarball as Uint8Array<ArrayBuffer>);
      const versions = packages.filter(({ name }) => `/${name}` === path);
      if (versions.length === 0) return Response.json({ error: "Not found" }, { status: 404 });
      const entries = versions.map((one) => {
        const bytes = tarballs.get(tarballPath(one))!;
        const dist = { tarball: `${origin}${tarballPath(one)}`, ...sumsOf(bytes) };
        return [one.version, { ...manifestOf(one), dist }] as const;
      });
      return Response.json({
        name: versions[0]!.name,
        "dist-tags": { latest: versions.at(-1)!.version },
        versions: Object.fromEntries(entries),
      });
    },
  });
  return {
    url: server.url.href,
    requests,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

function manifestOf({ name, version, manifest }: Published): Record<string, unknown> {
  return { name, version, ...manifest };
}

function tarballPath({ name, version }: Published): string {
  return `/${name}/-/${name.split("/").at(-1)}-${version}.tgz`;
}

function sumsOf(bytes: Uint8Array): { shasum: string; integrity: string } {
  const sum = (algorithm: "sha1" | "sha512", encoding: "hex" | "base64") =>
    new Bun.CryptoHasher(algorithm).update(bytes).digest(encoding);
  return { shasum: sum("sha1", "hex"), integrity: `sha512-${sum("sha512", "base64")}` };
}
