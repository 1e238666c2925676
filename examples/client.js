// What an MCP client does, by the SDK that they are built with: finds the authorization server, registers, sends the user there, and
// calls the tool with the token it gets. With --yes it is its own browser and its own user, who agrees to everything.
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    yes: { type: 'boolean', default: false },
    // A client that registered before.
    'client-id': { type: 'string' },
    'client-secret': { type: 'string' },
    // A client that is described by a document of its own: this URL, served from here with this certificate and key.
    document: { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
    // Where to leave the tokens.
    tokens: { type: 'string' },
  },
});
const [serverUrl = 'http://127.0.0.1:3001/mcp'] = positionals;

// The user comes back to a port of the moment, as with every program on a user's machine.
let came;
const answered = new Promise((resolve) => (came = resolve));
const listener = createServer((req, res) => {
  const { pathname, searchParams } = new URL(req.url, 'http://127.0.0.1');
  res.writeHead(pathname === '/callback' ? 200 : 404, { 'Content-Type': 'text/plain' }).end('You may close this page.\n');
  if (pathname === '/callback') came(searchParams);
}).listen(0, '127.0.0.1');
await once(listener, 'listening');
const redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;

const clientMetadata = {
  client_name: 'Example client',
  redirect_uris: [redirectUrl],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
};
let documents;
if (values.document) {
  const body = JSON.stringify({ ...clientMetadata, client_id: values.document, redirect_uris: ['http://127.0.0.1/callback'] });
  const tls = { cert: readFileSync(values.cert), key: readFileSync(values.key) };
  documents = createTlsServer(tls, (_, res) => res.writeHead(200, { 'Content-Type': 'application/json' }).end(body));
  documents.listen(Number(new URL(values.document).port || 443), '127.0.0.1');
  await once(documents, 'listening');
}

const kept = { client: values['client-id'] && { client_id: values['client-id'], client_secret: values['client-secret'] } };
let refused;
const provider = {
  redirectUrl,
  clientMetadata,
  clientMetadataUrl: values.document,
  clientInformation: () => kept.client,
  saveClientInformation(information) {
    kept.client = information;
    console.log(`client_id: ${information.client_id}`);
  },
  tokens: () => kept.tokens,
  saveTokens(tokens) {
    kept.tokens = tokens;
    if (values.tokens) writeFileSync(values.tokens, JSON.stringify(tokens), { mode: 0o600 });
  },
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  saveDiscoveryState: (state) => void (kept.discovery = state),
  state: () => (kept.state = crypto.randomUUID()),
  redirectToAuthorization(url) {
    if (values.yes) return browse(url.href);
    console.log(`open ${url.href}`);
  },
};

/** A browser with a user who agrees. */
async function browse(start) {
  const cookies = new Map();
  for (let [url, method] = [start, 'GET']; url; ) {
    const Cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const answer = await fetch(url, { method, redirect: 'manual', headers: { Cookie, Accept: 'text/html' } });
    for (const cookie of answer.headers.getSetCookie()) cookies.set(...cookie.split(';')[0].split(/=(.*)/s));
    const page = await answer.text();
    const words = page.replace(/<(style|title)[^]*?<\/\1>|<[^>]*>/g, ' ').replace(/\s+/g, ' ').trim();
    const asks = page.includes('<form method="post">');
    if (asks) console.log(`the user reads: ${words}`);
    if (!answer.ok && answer.status >= 400) {
      refused = words;
      return came(undefined);
    }
    [url, method] = asks ? [url, 'POST'] : [answer.headers.get('location') && new URL(answer.headers.get('location'), url).href, 'GET'];
  }
}

async function connect() {
  const transport = new StreamableHTTPClientTransport(new URL(serverUrl), { authProvider: provider });
  const client = new Client({ name: 'example', version: '1.0.0' });
  try {
    await client.connect(transport);
    return client;
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error;
    const parameters = await answered;
    if (!parameters) throw new Error(refused);
    if (parameters.get('state') !== kept.state) throw new Error('the answer is to another question');
    const metadata = kept.discovery.authorizationServerMetadata;
    if (metadata.authorization_response_iss_parameter_supported && parameters.get('iss') !== metadata.issuer) {
      throw new Error(`the answer is from ${parameters.get('iss')}, not from ${metadata.issuer}`);
    }
    if (parameters.has('error')) throw new Error(`${parameters.get('error')}: ${parameters.get('error_description')}`);
    await transport.finishAuth(parameters.get('code'));
    return connect();
  }
}

try {
  const client = await connect();
  const { content } = await client.callTool({ name: 'whoami' });
  console.log(`whoami: ${content[0].text}`);
  await client.close();
} catch (error) {
  console.log(`refused: ${error.message}`);
  process.exitCode = 1;
} finally {
  listener.close();
  documents?.close();
}
