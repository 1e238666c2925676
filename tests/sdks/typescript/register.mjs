// Registers every client of clients.json with each library's own functions, and checks what the library made of the answer.
// Arguments: the base URL and clients.json. One line a case; fails at the end if any case failed.
//
// The registration endpoint is found by the libraries, in the service's own metadata.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import * as v1 from '@modelcontextprotocol/sdk/client/auth.js';
import { InvalidClientMetadataError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { OAuthClientInformationFullSchema } from '@modelcontextprotocol/sdk/shared/auth.js';
import * as v2 from '@modelcontextprotocol/client';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

const [base, clientsFile] = process.argv.slice(2);
const clients = JSON.parse(readFileSync(clientsFile, 'utf8'));
const endpoint = `${base}/oauth/register`;

/** A fetch that remembers the answer to the registration as it came. */
function listening() {
  const heard = {};
  const fetchFn = async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    const response = await fetch(input, { signal: AbortSignal.timeout(20_000), ...init });
    if (url.href === endpoint) {
      heard.status = response.status;
      heard.body = await response.clone().json();
    }
    return response;
  };
  return { heard, fetchFn };
}

const insecure = { [oauth.allowInsecureRequests]: true };
const mcp = (sdk) => ({
  discover: (fetchFn) => sdk.discoverAuthorizationServerMetadata(base, { fetchFn }),
  register: (metadata, clientMetadata, fetchFn) => sdk.registerClient(base, { metadata, clientMetadata, fetchFn }),
  method: sdk.selectClientAuthMethod,
});
const libraries = {
  '@modelcontextprotocol/sdk': {
    ...mcp(v1),
    refused: (error) => error instanceof InvalidClientMetadataError,
    auth: v1.auth,
  },
  '@modelcontextprotocol/client': {
    ...mcp(v2),
    refused: (error) => error instanceof v2.RegistrationRejectedError && JSON.parse(error.body).error === 'invalid_client_metadata',
    auth: v2.auth,
  },
  oauth4webapi: {
    discover: async (fetchFn) => {
      const options = { algorithm: 'oauth2', [oauth.customFetch]: fetchFn, ...insecure };
      return oauth.processDiscoveryResponse(new URL(base), await oauth.discoveryRequest(new URL(base), options));
    },
    register: async (metadata, request, fetchFn) => {
      const options = { [oauth.customFetch]: fetchFn, ...insecure };
      return oauth.processDynamicClientRegistrationResponse(await oauth.dynamicClientRegistrationRequest(metadata, request, options));
    },
    refused: (error) => error.error === 'invalid_client_metadata',
  },
  'openid-client': {
    discover: async (fetchFn) => {
      const options = { algorithm: 'oauth2', execute: [openid.allowInsecureRequests], [openid.customFetch]: fetchFn };
      return (await openid.discovery(new URL(base), 'anyone', undefined, openid.None(), options)).serverMetadata();
    },
    register: async (_, request, fetchFn) => {
      const options = { algorithm: 'oauth2', execute: [openid.allowInsecureRequests], [openid.customFetch]: fetchFn };
      return (await openid.dynamicClientRegistration(new URL(base), request, openid.None(), options)).clientMetadata();
    },
    refused: (error) => error.error === 'invalid_client_metadata',
  },
};
/** Members that the MCP SDKs do not hand on. */
const droppedByMcp = (member) => member.includes('#') || member === 'application_type';

let failed = 0;
async function check(name, run) {
  try {
    await run();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${String(error.stack ?? error).replace(/^/gm, '        ')}`);
  }
}

const ids = new Set();
function checkAnswer(client, heard, parsed, mayDrop) {
  assert.equal(heard.status, 201);
  const expected = { ...client.filled_in, ...client.sends };
  for (const member of client.left_out ?? []) {
    delete expected[member];
    assert.ok(!(member in heard.body) && parsed[member] === undefined, `${member} is in the answer`);
  }
  for (const [member, value] of Object.entries(expected)) {
    assert.deepEqual(heard.body[member], value, member);
    if (!(mayDrop(member) && !(member in parsed))) assert.deepEqual(parsed[member], value, `${member} as parsed`);
  }
  assert.ok(typeof parsed.client_id === 'string' && parsed.client_id !== '');
  assert.ok(!ids.has(parsed.client_id), 'the client_id was given before');
  ids.add(parsed.client_id);
  assert.ok(Number.isInteger(parsed.client_id_issued_at));
  assert.ok(Math.abs(parsed.client_id_issued_at - Date.now() / 1000) < 120, 'client_id_issued_at is not now');
  assert.equal(typeof parsed.client_secret, client.secret ? 'string' : 'undefined');
  assert.equal(parsed.client_secret_expires_at, client.secret ? 0 : undefined);
  assert.equal(typeof heard.body.registration_access_token, 'string');
  assert.ok(heard.body.registration_client_uri.startsWith(`${endpoint}/`));
}

/**
 * RFC 7592, which none of the libraries speaks; what comes back has to be what they can parse. A client may send back all that
 * it was told (§2.2).
 */
async function manage(answer) {
  const { registration_client_uri: uri, registration_access_token: token, client_secret: secret } = answer;
  const call = (method, body) =>
    fetch(uri, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(20_000),
    });
  const read = await call('GET');
  assert.equal(read.status, 200);
  const body = await read.json();
  const { client_secret: _, client_secret_expires_at: __, ...unsecret } = answer;
  assert.deepEqual(body, unsecret);
  OAuthClientInformationFullSchema.parse(body);

  const { registration_access_token, registration_client_uri, client_id_issued_at, gatebook, ...own } = body;
  const renamed = await call('PUT', { ...own, ...(secret && { client_secret: secret }), client_name: 'Renamed' });
  assert.equal(renamed.status, 200, await renamed.clone().text());
  const parsed = OAuthClientInformationFullSchema.parse(await renamed.json());
  assert.equal(parsed.client_name, 'Renamed');
  assert.deepEqual(parsed.redirect_uris, answer.redirect_uris);

  const staged = await call('PUT', { ...own, redirect_uris: [...own.redirect_uris, 'https://relay.example.com/cb'] });
  assert.equal(staged.status, 200, await staged.clone().text());
  const waiting = await staged.json();
  assert.deepEqual(OAuthClientInformationFullSchema.parse(waiting).redirect_uris, answer.redirect_uris);
  assert.deepEqual(waiting.gatebook.staged_change.added, ['https://relay.example.com/cb']);

  assert.equal((await call('DELETE')).status, 204);
  assert.equal((await call('GET')).status, 401);
}

/** What an MCP client does first: discovers, registers and sends the user away, in one call of the SDK. */
async function wholeWay(auth) {
  const { heard, fetchFn } = listening();
  let saved;
  let sentTo;
  const provider = {
    redirectUrl: 'http://localhost:33417/callback',
    clientMetadata: { client_name: 'Whole way', redirect_uris: ['http://localhost:33417/callback'] },
    clientInformation: () => saved,
    saveClientInformation: (information) => void (saved = information),
    tokens: () => undefined,
    saveTokens: () => assert.fail('there are no tokens yet'),
    redirectToAuthorization: (url) => void (sentTo = url),
    saveCodeVerifier: () => {},
    codeVerifier: () => assert.fail('there is no code yet'),
  };
  assert.equal(await auth(provider, { serverUrl: `${base}/mcp`, fetchFn }), 'REDIRECT');
  assert.equal(heard.status, 201);
  assert.equal(saved.client_id, heard.body.client_id);
  assert.equal(sentTo.origin + sentTo.pathname, 'https://as.example/authorize');
  assert.equal(sentTo.searchParams.get('client_id'), saved.client_id);
  assert.equal(sentTo.searchParams.get('code_challenge_method'), 'S256');
}

for (const [library, { discover, register, method, refused, auth }] of Object.entries(libraries)) {
  let metadata;
  await check(`${library}: discovers`, async () => {
    metadata = await discover(listening().fetchFn);
    assert.equal(metadata.issuer, base);
    assert.equal(metadata.registration_endpoint, endpoint);
    assert.equal(metadata.authorization_endpoint, 'https://as.example/authorize');
    assert.equal(metadata.token_endpoint, 'https://as.example/token');
    assert.ok(metadata.response_types_supported.includes('code'));
    assert.ok(metadata.token_endpoint_auth_methods_supported.includes('none'));
  });
  for (const client of clients) {
    await check(`${library}: ${client.name}`, async () => {
      const { heard, fetchFn } = listening();
      const parsed = await register(metadata, client.sends, fetchFn);
      checkAnswer(client, heard, parsed, library.startsWith('@modelcontextprotocol/') ? droppedByMcp : () => false);
      // How the SDK would now come to the token endpoint.
      if (method) assert.equal(method(parsed, []), { ...client.filled_in, ...client.sends }.token_endpoint_auth_method.replace('private_key_jwt', 'none'));
      await manage(heard.body);
    });
  }
  await check(`${library}: understands a refusal`, async () => {
    const request = { redirect_uris: ['https://app.example.com/cb'], token_endpoint_auth_method: 'tls_client_auth' };
    await assert.rejects(register(metadata, request, listening().fetchFn), (error) => refused(error) || assert.fail(error));
  });
  if (auth) await check(`${library}: discovers, registers and sends the user to the authorization server`, () => wholeWay(auth));
}
console.log(failed === 0 ? 'all is well' : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
