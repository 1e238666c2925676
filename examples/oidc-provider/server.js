// An authorization server whose clients are in Gatebook. For a try-out: everybody who comes is the user `developer`, grants and
// sessions are kept in memory, and the signing key is a new one at each start.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider, errors } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';
import { consent } from './consent.js';
import { Gatebook, clientStore, extend } from './gatebook.js';

const {
  ISSUER = 'http://127.0.0.1:3000',
  LISTEN = new URL(ISSUER).port || '3000',
  GATEBOOK = 'http://127.0.0.1:8080',
  SERVICE_TOKEN,
  RESOURCE = 'http://127.0.0.1:3001/mcp',
  SCOPE = 'mcp:tools',
  REGISTRATION_ENDPOINT = `${GATEBOOK}/oauth/register`,
} = process.env;
if (!SERVICE_TOKEN) throw new Error('SERVICE_TOKEN is a service token of Gatebook with the scopes gatebook:decide and gatebook:authenticate');

const gatebook = new Gatebook({ url: GATEBOOK, token: SERVICE_TOKEN, resource: RESOURCE });
const clients = clientStore(gatebook, ['authorization_code', 'refresh_token']);
const { privateKey } = await generateKeyPair('ES256', { extractable: true });

const provider = new Provider(ISSUER, {
  adapter: (model) => (model === 'Client' ? clients : new MemoryAdapter(model)),
  // What clients find here (RFC 8414). The issuer is this server's own; the register is named beside it.
  discovery: { registration_endpoint: REGISTRATION_ENDPOINT, client_id_metadata_document_supported: true },
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
  scopes: ['openid', 'offline_access', SCOPE],
  responseTypes: ['code'],
  pkce: { required: () => true },
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  clientBasedCORS: () => true,
  renderError(ctx, { error, error_description }) {
    ctx.type = 'text/plain';
    ctx.body = `${error}: ${error_description}\n`;
  },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' }] },
  cookies: { keys: [randomBytes(32)] },
  ttl: { AccessToken: 300, AuthorizationCode: 60, Grant: 86400, IdToken: 300, Interaction: 600, RefreshToken: 86400, Session: 86400 },
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      // RFC 9068 access tokens for the one resource that there is (RFC 8707).
      getResourceServerInfo(_, resource) {
        if (resource !== RESOURCE) throw new errors.InvalidTarget();
        return { scope: SCOPE, audience: RESOURCE, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
      },
    },
  },
});
extend(provider, gatebook);
// Behind a proxy that says where a request came from; on its own address nobody else does.
provider.proxy = process.env.BEHIND_PROXY === '1';
provider.on('server_error', (_, error) => console.error(error));

const answer = provider.callback();
const ask = consent(provider, gatebook);
createServer((req, res) => (req.url.startsWith('/interaction/') ? ask(req, res) : answer(req, res))).listen(Number(LISTEN), '127.0.0.1', () => {
  console.log(`authorization server at ${ISSUER}, listening on 127.0.0.1:${LISTEN}`);
});
