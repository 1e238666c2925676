// An MCP server over streamable HTTP with one tool, which says who calls. Only with an access token that was made for it.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';

const {
  RESOURCE = 'http://127.0.0.1:3001/mcp',
  // Users' tokens are from the authorization server, and those of clients that act for themselves from Gatebook.
  ISSUER = 'http://127.0.0.1:3000',
  TOKEN_ISSUER = 'http://127.0.0.1:8080/oauth',
  SCOPE = 'mcp:tools',
} = process.env;
const { origin, pathname, port } = new URL(RESOURCE);
const { LISTEN = port || '3001' } = process.env;

/** RFC 9728: where a client reads whom to ask for a token. */
const metadata = {
  resource: RESOURCE,
  authorization_servers: [ISSUER],
  scopes_supported: [SCOPE],
  bearer_methods_supported: ['header'],
};
const metadataUrl = `${origin}/.well-known/oauth-protected-resource${pathname}`;

const keySets = new Map();
/** The keys of an issuer, which says itself where they are (RFC 8414). */
async function keysOf(issuer) {
  if (!keySets.has(issuer)) {
    const { origin, pathname } = new URL(issuer);
    const answer = await fetch(`${origin}/.well-known/oauth-authorization-server${pathname.replace(/\/$/, '')}`);
    const document = await answer.json();
    if (document.issuer !== issuer) throw new Error(`the metadata of ${issuer} are those of ${document.issuer}`);
    keySets.set(issuer, createRemoteJWKSet(new URL(document.jwks_uri)));
  }
  return keySets.get(issuer);
}

/** RFC 9068 §4 */
async function verifyAccessToken(token) {
  try {
    const issuer = [ISSUER, TOKEN_ISSUER].find((trusted) => trusted === decodeJwt(token).iss);
    if (!issuer) throw new InvalidTokenError('nobody here trusts who made this token');
    const { payload } = await jwtVerify(token, await keysOf(issuer), { issuer, audience: RESOURCE, typ: 'at+jwt', requiredClaims: ['exp', 'client_id'] });
    return { token, clientId: payload.client_id, scopes: (payload.scope ?? '').split(' '), expiresAt: payload.exp, extra: { subject: payload.sub } };
  } catch (error) {
    throw error.code?.startsWith('ERR_J') ? new InvalidTokenError('this is no token for this server') : error;
  }
}

function server() {
  const server = new McpServer({ name: 'whoami', version: '1.0.0' });
  server.registerTool('whoami', { description: 'Says who calls' }, ({ authInfo }) => ({
    content: [{ type: 'text', text: `${authInfo.extra.subject} by ${authInfo.clientId}, allowed ${authInfo.scopes.join(' ')}` }],
  }));
  return server;
}

const app = createMcpExpressApp();
app.get(new URL(metadataUrl).pathname, (_, res) => res.set('Access-Control-Allow-Origin', '*').json(metadata));
app.use(pathname, requireBearerAuth({ verifier: { verifyAccessToken }, requiredScopes: [SCOPE], resourceMetadataUrl: metadataUrl }));
app.post(pathname, async (req, res) => {
  // Without sessions: each call has a server of its own.
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  res.on('close', () => transport.close());
  await server().connect(transport);
  await transport.handleRequest(req, res, req.body);
});
app.all(pathname, (_, res) => res.set('Allow', 'POST').status(405).end());
app.listen(Number(LISTEN), '127.0.0.1', () => console.log(`MCP server at ${RESOURCE}, listening on 127.0.0.1:${LISTEN}`));
