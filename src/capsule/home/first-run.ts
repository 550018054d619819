import path from 'node:path';
import type { AgentSlug } from '../../agents/agents.ts';
import { SESSION_FILE, skipIntroduction } from '../../agents/amp-login.ts';
import { accountIn, answerClaude, isBroken, withoutAccount } from '../../agents/claude-login.ts';
import { sha256 } from '../../agents/judge.ts';
import { readFiles } from '../../shared/read-set.ts';
import type { Place } from './place.ts';
import { readRecord, writeRecord } from './record.ts';
import { backUp, writeHomeFile } from './swap.ts';

/** Claude's own file, which it goes on writing; it grows with the projects that it has seen. */
const CLAUDE_FILE = '.claude.json';
const MAX_BYTES = 64 * 1024 * 1024;

const readClaudeFile = async ({ home, dir }: Place): Promise<Buffer | undefined> =>
  (await readFiles(path.join(home, dir), (file) => file === CLAUDE_FILE, MAX_BYTES))?.get(CLAUDE_FILE);

const answerClaudeFirst = async (place: Place, workdir: string, account: string | undefined, now: Date): Promise<void> => {
  const bytes = await readClaudeFile(place);
  const text = bytes?.toString('utf8');
  const file = `${place.dir}/${CLAUDE_FILE}`;
  // Claude could not start with it either; it is kept for whoever wrote it.
  if (bytes !== undefined && isBroken(bytes.toString('utf8'))) await backUp(place, new Map([[file, bytes]]), now);
  const given = account === undefined ? undefined : accountIn(account);
  // Before the file: what is written there must never be without its note.
  if (given !== undefined) await writeRecord(place, { ...(await readRecord(place)), account: sha256(given) });
  const answered = answerClaude(text, workdir, given);
  if (answered !== text) await writeHomeFile(place.home, file, answered);
};

const answerAmpFirst = async ({ home, dir }: Place): Promise<void> => {
  const files = await readFiles(path.join(home, dir), (file) => file === SESSION_FILE);
  const answered = skipIntroduction(files?.get(SESSION_FILE)?.toString('utf8'));
  if (answered !== undefined) await writeHomeFile(home, `${dir}/${SESSION_FILE}`, answered);
};

/** Answers what an agent would ask at its first start in a folder, and tells it whose account it has; undefined leaves that as it is. */
export const answerFirstQuestions = async (
  slug: AgentSlug,
  place: Place,
  { workdir, account }: { workdir: string; account: string | undefined },
  now: Date,
): Promise<void> => {
  if (slug === 'claude') await answerClaudeFirst(place, workdir, account, now);
  if (slug === 'amp') await answerAmpFirst(place);
};

/** Takes out the account that was told to an agent, unless it has another one by now. */
export const forgetAccount = async (place: Place): Promise<void> => {
  const { account, ...record } = await readRecord(place);
  if (account === undefined) return;
  const text = (await readClaudeFile(place))?.toString('utf8');
  const told = text === undefined ? undefined : accountIn(text);
  if (text !== undefined && told !== undefined && sha256(told) === account) {
    await writeHomeFile(place.home, `${place.dir}/${CLAUDE_FILE}`, withoutAccount(text));
  }
  await writeRecord(place, record);
};
