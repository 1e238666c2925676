// Gatebook as the client store of oidc-provider: a client is looked up at every call, and its secret is checked where it is kept.
import { randomBytes } from 'node:crypto';
import { Provider, errors } from 'oidc-provider';

/** The most clients that are held. One that is held is still asked about; the answer is then a 304 without a body. */
const HELD = 1000;
/** Gatebook never gives a secret out, and oidc-provider wants one to be there. Nothing is ever compared with this. */
const PLACEHOLDER = randomBytes(32).toString('base64url');
const LOOPBACK = /^http:\/\/(127(?:\.\d{1,3}){3}|\[::1\]|localhost)(:[1-9]\d*)?(?=[/?]|$)/;

/** One resource server of Gatebook, asked with a service token. */
export class Gatebook {
  #url;
  #token;
  #resource;
  #held = new Map();

  constructor({ url, token, resource }) {
    this.#url = url;
    this.#token = token;
    this.#resource = resource;
  }

  /** `POST /oauth/decisions`: allow, deny or pending, why, and what a user should know before agreeing. */
  decide(question) {
    return this.#post('/oauth/decisions', question);
  }

  /** `POST /oauth/authenticate`: whether the secret is the client's. `source` is where the client calls from. */
  authenticate(client_id, client_secret, source) {
    return this.#post('/oauth/authenticate', { client_id, client_secret, source });
  }

  /** `GET /oauth/clients/{client_id}`: the client as it stands now; undefined where there is none that may act. */
  async client(id) {
    const held = this.#held.get(id);
    const path = `/oauth/clients/${encodeURIComponent(id)}?resource=${encodeURIComponent(this.#resource)}`;
    const answer = await this.#call(path, held && { headers: { 'If-None-Match': held.tag } });
    this.#held.delete(id);
    if (answer.status === 404) return undefined;
    const now = answer.status === 304 ? held : { tag: answer.headers.get('etag'), client: await answer.json() };
    this.#held.set(id, now);
    if (this.#held.size > HELD) this.#held.delete(this.#held.keys().next().value);
    return now.client;
  }

  async #post(path, body) {
    const init = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ resource: this.#resource, ...body }) };
    return (await this.#call(path, init)).json();
  }

  async #call(path, init = {}) {
    const headers = { ...init.headers, Authorization: `Bearer ${this.#token}` };
    const answer = await fetch(this.#url + path, { ...init, headers, signal: AbortSignal.timeout(5000) });
    if (answer.ok || answer.status === 304 || answer.status === 404) return answer;
    if (answer.status === 429) throw new errors.TemporarilyUnavailable('too many wrong secrets');
    throw new Error(`Gatebook answered ${answer.status} to ${path}: ${await answer.text()}`);
  }
}

/** The adapter for the model `Client`. `grants` are the grant types that this authorization server knows. */
export const clientStore = (gatebook, grants) => ({
  async find(id) {
    const client = await gatebook.client(id);
    if (client) return members(client, grants);
    const { reason } = await gatebook.decide({ client_id: id });
    if (reason === 'not_registered') return undefined;
    // One that may not act is told why, and not sent anywhere: the page is shown here.
    throw new errors.UnauthorizedClient(`this client may not act here: ${reason}`);
  },
});

/** What oidc-provider has to know of a client. Gatebook judged the rest, and judges the scope again before the consent. */
function members({ client_id, client_name, redirect_uris, grant_types, token_endpoint_auth_method, scope, ...client }, grants) {
  const known = { client_id, client_name, redirect_uris, token_endpoint_auth_method, scope };
  known.grant_types = grant_types.filter((grant) => grants.includes(grant));
  known.response_types = known.grant_types.includes('authorization_code') ? ['code'] : [];
  known.application_type = redirect_uris.every((uri) => uri.startsWith('https://')) ? client.application_type : 'native';
  if (token_endpoint_auth_method !== 'none') known.client_secret = PLACEHOLDER;
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}

/** Has a provider check secrets at Gatebook, and match loopback redirect URIs without their port (RFC 8252 §7.3). */
export function extend(provider, gatebook) {
  provider.Client.prototype.compareClientSecret = async function compareClientSecret(secret) {
    return (await gatebook.authenticate(this.clientId, secret, Provider.ctx?.ip)).authenticated;
  };
  provider.Client.prototype.redirectUriAllowed = function redirectUriAllowed(asked) {
    const portless = (uri) => uri.replace(LOOPBACK, 'http://$1');
    return this.redirectUris.includes(asked) || (LOOPBACK.test(asked) && URL.canParse(asked) && this.redirectUris.some((uri) => portless(uri) === portless(asked)));
  };
}
