/** Reads the README: its fenced blocks with their marks, its tables, links and inline code. */

/** A fenced block, and what stands over it for the tests. */
export interface Block {
  /** The heading that it is under, and which block under it, from 1: `Long-poll 2`. */
  readonly name: string;
  readonly language: string;
  /** What is in the HTML comment right before it: `file: tidewire.yaml`; null without one. */
  readonly mark: string | null;
  readonly text: string;
  /** Line of its first fence, from 1. */
  readonly line: number;
}

/** Finds every fenced block (CommonMark §4.5), indented ones and those with tildes included. */
export function readBlocks(markdown: string): readonly Block[] {
  const lines = markdown.split("\n");
  const blocks: Block[] = [];
  const counts = new Map<string, number>();
  let heading = "";
  for (let index = 0; index < lines.length; index++) {
    heading = /^#+ (.*)$/.exec(lines[index]!)?.[1] ?? heading;
    const fence = /^ *(`{3,}|~{3,})\s*(\S*)/.exec(lines[index]!);
    if (!fence) continue;
    const end = lines.findIndex((text, at) => at > index && text.trim() === fence[1]);
    if (end === -1) throw new SyntaxError(`line ${index + 1}: the block has no end`);
    const count = (counts.get(heading) ?? 0) + 1;
    counts.set(heading, count);
    const above = lines.slice(0, index).findLast((text) => text.trim() !== "") ?? "";
    blocks.push({
      name: `${heading} ${count}`,
      language: fence[2]!,
      mark: /^<!-- (.*) -->$/.exec(above)?.[1] ?? null,
      text: `${lines.slice(index + 1, end).join("\n")}\n`,
      line: index + 1,
    });
    index = end;
  }
  return blocks;
}

/** Targets of the links that lead into the project, without their fragments. */
export function readLinks(markdown: string): readonly string[] {
  const links = [...markdown.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map(([, target]) => target!);
  return links.filter((target) => !/^[a-z]+:/.test(target));
}

/** The inline code outside of blocks: `npm run build`. */
export function readInlineCode(markdown: string): readonly string[] {
  let prose = markdown;
  for (const { text } of readBlocks(markdown)) prose = prose.replace(text, "");
  return [...prose.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)].map(([, code]) => code!);
}

/** The first column of the table under a heading, without its title. */
export function readFirstColumn(markdown: string, heading: string): readonly string[] {
  const section = markdown.split(/^#+ /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  const rows = [...section.matchAll(/^\| *([^|]*?) *\|/gm)].map(([, cell]) => cell!);
  return rows.slice(2);
}
