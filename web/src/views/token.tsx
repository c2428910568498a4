/** Asks for a token. It goes to the server once, which keeps it in a cookie that no script can read. */
import { Logo } from "../parts/frame";
import { useTitle } from "../parts/use";

/** By an address, because the page may send no forms. */
function open(event: SubmitEvent): void {
  event.preventDefault();
  const token = new FormData(event.currentTarget as HTMLFormElement).get("token");
  location.assign(`./?${new URLSearchParams({ token: String(token) })}`);
}

export function Token() {
  useTitle("Token");
  return (
    <main class="token">
      <form class="card" onSubmit={open}>
        <h1><Logo /> orchestrator</h1>
        <label for="token">Token</label>
        <input id="token" name="token" type="password" required autoComplete="current-password" />
        <p class="hint">The operator of this server can give you one.</p>
        <button type="submit" class="strong">Open</button>
      </form>
    </main>
  );
}
