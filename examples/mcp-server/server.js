// An MCP server over streamable HTTP with one tool, which says who calls. Only with an access token that was made for it.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { RESOURCE = 'http://127.0.0.1:3001/mcp', ISSUER = 'http://127.0.0.1:3000', SCOPE = 'mcp:tools' } = process.env;
const { origin, pathname, port } = new URL(RESOURCE);
const { LISTEN = port || '3001', JWKS = `${ISSUER}/jwks` } = process.env;

/** RFC 9728: where a client reads whom to ask for a token. */
const metadata = {
  resource: RESOURCE,
  authorization_servers: [ISSUER],
  scopes_supported: [SCOPE],
  bearer_methods_supported: ['header'],
};
const metadataUrl = `${origin}/.well-known/oauth-protected-resource${pathname}`;

const keys = createRemoteJWKSet(new URL(JWKS));
async function verifyAccessToken(token) {
  const options = { issuer: ISSUER, audience: RESOURCE, typ: 'at+jwt', requiredClaims: ['exp', 'client_id'] };
  const { payload } = await jwtVerify(token, keys, options).catch((error) => {
    if (error.code?.startsWith('ERR_J')) throw new InvalidTokenError('this is no token for this server');
    throw error;
  });
  return { token, clientId: payload.client_id, scopes: (payload.scope ?? '').split(' '), expiresAt: payload.exp, extra: { subject: payload.sub } };
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
