// Verifies webhooks as their receivers do, by both libraries. Takes a JSON list of {secret, headers, body} on stdin.
const { Webhook: Standard } = require("standardwebhooks");
const { Webhook: Svix } = require("svix");

let given = "";
process.stdin.on("data", (part) => (given += part));
process.stdin.on("end", () => {
  const verdicts = JSON.parse(given).map(({ secret, headers, body }) =>
    [Standard, Svix].map((Verifier) => {
      try {
        new Verifier(secret).verify(body, headers);
        return JSON.parse(body).id;
      } catch (problem) {
        return String(problem.message);
      }
    }),
  );
  process.stdout.write(JSON.stringify(verdicts));
});
