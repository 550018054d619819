// Exit 0 when a container engine answers; with an argument, when it also has an
// image whose name starts with that argument. For scripts/engine.sh.
import process from 'node:process';
import { connectEngine } from './engine-api.mjs';

const engine = connectEngine();
const [, , image] = process.argv;
let found = await engine.ping();
if (found && image) {
  const images = await engine.get('/images/json');
  found = images.some(({ RepoTags }) => RepoTags?.some((/** @type {string} */ tag) => tag.startsWith(image)));
}
process.exitCode = found ? 0 : 1;
