import { useState } from "preact/hooks";

import { Problem } from "../api/client";
import { signIn } from "../state/session";

/** Asks for the token. It is sent once and kept nowhere. */
export function SignIn() {
  const [token, setToken] = useState("");
  const [problem, setProblem] = useState("");
  const [sending, setSending] = useState(false);
  const send = async (event: Event) => {
    event.preventDefault();
    setSending(true);
    try {
      await signIn(token.trim());
    } catch (error) {
      setProblem(error instanceof Problem && error.status === 401 ? "This token is not known here." : String(error instanceof Problem ? error.detail : error));
      setSending(false);
    }
  };
  return (
    <form class="sign-in" onSubmit={(event) => void send(event)}>
      <h1>Sign in</h1>
      <p>This service asks for a token: one of <code>http.tokens</code> in its settings, or the one your platform team gave you.</p>
      <input type="text" name="username" autocomplete="username" value={location.host} hidden readOnly />
      <label>
        Token
        <input type="password" autocomplete="current-password" required value={token} onInput={(event) => { setToken(event.currentTarget.value); }} />
      </label>
      {problem !== "" && <p class="note bad" role="alert">{problem}</p>}
      <div class="acts"><button class="main" disabled={sending}>Sign in</button></div>
    </form>
  );
}
