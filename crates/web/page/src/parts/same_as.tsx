// What a button does, said as a command and as a request, so that it can be written into a script.

import { address, type Parameters } from "../api/http";
import { copy } from "./copy";
import { CopyIcon } from "./icons";
import { Menu } from "./menu";

export interface Request {
  method: "GET" | "POST" | "DELETE" | "PUT";
  path: string;
  query?: Parameters;
  body?: unknown;
}

interface Props {
  /** `wegweiser …` on the operator's machine. */
  command?: string;
  request?: Request;
}

export function SameAs({ command, request }: Props) {
  return (
    <Menu
      name="Copy as a command or a request"
      label={
        <>
          <CopyIcon />
          <span>Copy as</span>
        </>
      }
    >
      {command && (
        <button type="button" title={command} onClick={() => copy(command, "as a command")}>
          Copy as command
        </button>
      )}
      {request && (
        <button type="button" title={curl(request)} onClick={() => copy(curl(request), "as curl")}>
          Copy as curl
        </button>
      )}
    </Menu>
  );
}

/** The request for a shell; the token stays in its file and out of the process list. */
export function curl({ method, path, query, body }: Request, origin = location.origin): string {
  const lines = [
    "(printf 'Authorization: Bearer '; cat \"$WEGWEISER_API_TOKEN_FILE\") | curl -sS -H @-",
  ];
  if (method !== "GET") lines.push(`-X ${method}`);
  if (body !== undefined) {
    lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  }
  lines.push(quoted(origin + address(path, query)));
  return lines.join(" \\\n  ");
}

/** One word of a shell, whatever is in it. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
