/** Lets in those who show a key: `?key=…`, or the header `Authorization: Bearer …`. */
import { createHash, timingSafeEqual } from "node:crypto";
import { definePlugin, t } from "tidewire";

export default definePlugin({
  name: "plugin-name",
  options: t.Object({
    key: t.String({ minLength: 1, description: "What clients have to show." }),
  }),
  setup({ options }) {
    const right = digest(options.key);
    return {
      // Asked for each who wants to subscribe or publish. Where no plugin allows, it is denied.
      authorize(request) {
        const bearer = /^Bearer (.+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
        const key = bearer ?? request.query.get("key");
        if (key === null) return { deny: "no key" };
        return timingSafeEqual(digest(key), right) ? "allow" : { deny: "wrong key" };
      },
    };
  },
});

/** Of one length, whatever the key's: comparing two must take the same time always. */
function digest(key: string): Buffer {
  return createHash("sha256").update(key).digest();
}
