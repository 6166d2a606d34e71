// Calls the running server through clients that openapi-typescript and openapi-fetch make of its documents.
import createClient from "openapi-fetch";
import type { components, paths as ConsolePaths } from "./console.ts";
import type { paths as IdentityPaths } from "./identity.ts";

declare const process: { argv: string[] };
declare const console: { log(text: string): void };

const [url, admin, owner, member, tenantId] = process.argv.slice(2) as [string, string, string, string, string];
const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });
const identity = createClient<IdentityPaths>({ baseUrl: `${url}/api/v1`, ...bearer(admin) });
const tenant = createClient<ConsolePaths>({ baseUrl: `${url}/accounts`, ...bearer(owner) });

function present<T>(answer: { data?: T; error?: unknown; response: Response }): T {
  if (answer.data === undefined) throw new Error(`${answer.response.status} ${JSON.stringify(answer.error)}`);
  return answer.data;
}

const account = { user_id: `ts-${Date.now()}`, email: `ts-${Date.now()}@example.com`, name: "Tess" };
const ensured = present(await identity.POST("/accounts/ensure", { body: account }));
const path = { user_id: ensured.user_id };
const read = await identity.GET("/accounts/profile/{user_id}", { params: { path } });
const tag = read.response.headers.get("etag") ?? "";
const put = (match: string) =>
  identity.PUT("/accounts/profile/{user_id}", {
    params: { path, header: { "If-Match": match } },
    body: { name: "Theresa" },
  });
const renamed = present(await put(tag)).name;
const stale: components["schemas"]["Problem"] | undefined = (await put(tag)).error;

// A body whose fields have defaults needs none of them, and a role is one of four words.
const role: components["schemas"]["Role"] = "viewer";
const invited = present(await tenant.POST("/users/invite", { body: { email: account.email, role } }));
await tenant.POST("/users/invite", { body: { email: `2-${account.email}` } });
const users = present(await tenant.GET("/users", { params: { query: { role: "owner" } } }));
const project = present(await tenant.GET("/projects/{project_id}", { params: { path: { project_id: tenantId } } }));
const changed = present(
  await tenant.PUT("/users/{user_id}/role", { params: { path: { user_id: member } }, body: { role } }),
);
// @ts-expect-error: not a role
await tenant.PUT("/users/{user_id}/role", { params: { path: { user_id: member } }, body: { role: "admn" } });

console.log(
  JSON.stringify({
    renamed,
    stale: stale?.code,
    invited: invited.role,
    owners: users.items.length,
    tokens: project.max_tokens_per_month,
    role: changed.role,
  }),
);
