// Before anybody is signed in.

import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import type { Problem } from "../api/http";
import { asProblem } from "../api/resource";
import { Mark } from "../parts/icons";
import { Failed } from "../parts/notice";
import { setPassword, signIn, signOut, startSession } from "../session";

function Card({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <main class="gate">
      <div class="card">
        <p class="brand">
          <Mark />
          Wegweiser
        </p>
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}

export function SignInPage() {
  const way = useSignal<"password" | "token">("password");
  const name = useSignal("");
  const secret = useSignal("");
  const isWaiting = useSignal(false);
  const problem = useSignal<Problem | undefined>(undefined);

  const submit = async (event: Event) => {
    event.preventDefault();
    isWaiting.value = true;
    problem.value = undefined;
    const token = secret.value.trim();
    try {
      await signIn(
        way.value === "token" ? { token } : { name: name.value, password: secret.value },
      );
    } catch (error) {
      problem.value = asProblem(error);
    } finally {
      isWaiting.value = false;
      secret.value = "";
    }
  };
  const choose = (to: "password" | "token") => () => {
    way.value = to;
    secret.value = "";
    problem.value = undefined;
  };

  return (
    <Card title="Sign in">
      <div class="tabs" role="tablist">
        <button
          type="button"
          role="tab"
          aria-selected={way.value === "password"}
          onClick={choose("password")}
        >
          Name and password
        </button>
        <button
          type="button"
          role="tab"
          aria-selected={way.value === "token"}
          onClick={choose("token")}
        >
          API token
        </button>
      </div>
      <form class="stack" onSubmit={submit}>
        {way.value === "password" && (
          <label>
            <span>Name</span>
            <input
              name="name"
              autocomplete="username"
              autocapitalize="none"
              spellcheck={false}
              required
              value={name.value}
              onInput={(event) => {
                name.value = event.currentTarget.value;
              }}
            />
          </label>
        )}
        <label>
          <span>{way.value === "token" ? "Token" : "Password"}</span>
          <input
            name="secret"
            type="password"
            autocomplete={way.value === "token" ? "off" : "current-password"}
            placeholder={way.value === "token" ? "wegweiser_api_…" : ""}
            required
            value={secret.value}
            onInput={(event) => {
              secret.value = event.currentTarget.value;
            }}
          />
        </label>
        {problem.value && <Failed problem={problem.value} />}
        <button type="submit" class="first" disabled={isWaiting.value}>
          {isWaiting.value ? "Signing in" : "Sign in"}
        </button>
      </form>
      <p class="small soft">
        {way.value === "token"
          ? "An operator makes tokens with: wegweiser api-token create"
          : "The first administrator comes by a link; print it with: wegweiser user link"}
      </p>
    </Card>
  );
}

const PASSWORD_LEAST = 12;

/** After a one-time link: without a password there would be no second sign-in. */
export function NewPassword() {
  const first = useSignal("");
  const again = useSignal("");
  const problem = useSignal<Problem | undefined>(undefined);
  const isShort = first.value.length < PASSWORD_LEAST;
  const differs = again.value !== "" && first.value !== again.value;
  const submit = async (event: Event) => {
    event.preventDefault();
    if (isShort || first.value !== again.value) return;
    try {
      await setPassword(first.value);
    } catch (error) {
      problem.value = asProblem(error);
    }
  };
  return (
    <Card title="Choose a password">
      <p class="soft">
        The link that brought you here works once. From now on you sign in with this.
      </p>
      <form class="stack" onSubmit={submit}>
        <label>
          <span>Password, {PASSWORD_LEAST} characters or more</span>
          <input
            type="password"
            name="password"
            autocomplete="new-password"
            minLength={PASSWORD_LEAST}
            maxLength={256}
            required
            value={first.value}
            onInput={(event) => {
              first.value = event.currentTarget.value;
            }}
          />
        </label>
        <label>
          <span>The same again</span>
          <input
            type="password"
            name="again"
            autocomplete="new-password"
            required
            aria-invalid={differs}
            value={again.value}
            onInput={(event) => {
              again.value = event.currentTarget.value;
            }}
          />
        </label>
        {differs && <p class="small bad">The two differ.</p>}
        {problem.value && <Failed problem={problem.value} />}
        <div class="row">
          <button type="submit" class="first" disabled={isShort || first.value !== again.value}>
            Set password
          </button>
          <button type="button" class="plain" onClick={() => signOut()}>
            Sign out
          </button>
        </div>
      </form>
    </Card>
  );
}

/** Nobody can say who we are. */
export function Unreachable({ problem }: { problem: Problem }) {
  return (
    <Card title="No answer">
      <Failed problem={problem} retry={startSession} />
    </Card>
  );
}
