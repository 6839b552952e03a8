/** Requests that ask for one content coding, and insist that it is what they get. */

export type Coding = "zstd" | "gzip" | "identity";

/** `fetch` with this coding alone. A body may be too small to be worth it; an event stream never is. */
export function fetchIn(coding: Coding): typeof fetch {
  const fetchCoded = async (input: string | URL | Request, init?: RequestInit) => {
    const headers = new Headers(init?.headers);
    headers.set("accept-encoding", coding);
    const response = await fetch(input, { ...init, headers });
    const used = response.headers.get("content-encoding") ?? "identity";
    const isStream = response.headers.get("content-type") === "text/event-stream";
    if (used === coding || (used === "identity" && !isStream)) return response;
    throw new Error(`the answer is in ${used}, and not in ${coding}`);
  };
  return fetchCoded as typeof fetch;
}
