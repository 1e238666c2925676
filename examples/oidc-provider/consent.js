// What the user sees: nobody has to log in here, but everybody has to agree, and is told first what Gatebook warns of.
const WARNINGS = {
  loopback_only: 'It runs on your own machine, where any program could claim to be it.',
  host_differs: 'The answer goes to another host than the one that describes this program.',
  look_alike: 'Its name looks like that of another program.',
  staged_change_waiting: 'A change of its addresses waits for an administrator.',
  document_unreachable: 'Its description cannot be reached at the moment.',
};
const text = (value) => String(value).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Handles `/interaction/…` of a provider. */
export const consent = (provider, gatebook) => async (req, res) => {
  try {
    const interaction = await provider.interactionDetails(req, res);
    if (interaction.prompt.name === 'login') {
      return await provider.interactionFinished(req, res, { login: { accountId: 'developer' } });
    }
    const { client_id, redirect_uri, scope } = interaction.params;
    const { decision, reason, client, redirect_host, warnings } = await gatebook.decide({ client_id, redirect_uri, scope, grant_type: 'authorization_code' });
    if (decision !== 'allow') {
      return await provider.interactionFinished(req, res, { error: 'access_denied', error_description: `this client may not act here: ${reason}` });
    }
    if (req.method === 'POST') return await provider.interactionFinished(req, res, { consent: { grantId: await grant(provider, interaction) } });
    res.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'no-store', 'Content-Security-Policy': "default-src 'none'" });
    return res.end(`<!doctype html><title>Allow?</title>
<h1>Allow ${text(client.client_name ?? client_id)}?</h1>
<p>It asks for <b>${text(scope ?? 'nothing in particular')}</b>. The answer goes to <b>${text(redirect_host)}</b>.</p>
${warnings.map((warning) => `<p data-warning="${text(warning)}">${text(WARNINGS[warning] ?? warning)}</p>`).join('\n')}
<form method="post"><button>Allow</button></form>\n`);
  } catch (error) {
    const status = error.statusCode ?? 500;
    if (status >= 500) console.error(error);
    res.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' });
    return res.end(`${error.error_description ?? 'something went wrong'}\n`);
  }
};

async function grant(provider, { grantId, session, params, prompt: { details } }) {
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '));
  for (const [resource, scopes] of Object.entries(details.missingResourceScopes ?? {})) grant.addResourceScope(resource, scopes.join(' '));
  return grant.save();
}
