// Holds the client store's matcher against the vectors of the register's own. Argument: the vectors.
import { readFileSync } from 'node:fs';
import { extend } from './oidc-provider/gatebook.js';

class Client {
  constructor(redirectUris) {
    this.redirectUris = redirectUris;
  }
}
extend({ Client });
let checked = 0;
const check = (registered, requested, expected, why) => {
  checked += 1;
  if (new Client([registered].flat()).redirectUriAllowed(requested) === expected) return;
  console.log(`${registered} and ${requested} should ${expected ? '' : 'not '}match: ${why}`);
  process.exitCode = 1;
};
const vectors = JSON.parse(readFileSync(process.argv[2], 'utf8'));
for (const list of Object.values(vectors).filter(Array.isArray)) {
  for (const { registered, requested, matches, answer_to, why } of list) {
    if (requested === undefined) continue;
    check(registered, requested, matches ?? answer_to !== null, why);
  }
}
if (checked < 20) throw new Error(`only ${checked} vectors`);
