/** Exit codes (DESIGN §8). */
export const EXIT = {
  fine: 0,
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** The config is wrong (EX_CONFIG of sysexits.h). */
  config: 78,
} as const;
