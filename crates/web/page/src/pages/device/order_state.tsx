// A command's state as a shape and a word.

import type { CommandState } from "../../api/commands";
import { State, type Tone } from "../../parts/state";

const LOOKS: Record<CommandState, [Tone, string]> = {
  queued: ["idle", "waiting"],
  delivered: ["idle", "taken"],
  running: ["warn", "running"],
  succeeded: ["good", "done"],
  failed: ["bad", "failed"],
  timed_out: ["bad", "timed out"],
  cancelled: ["idle", "cancelled"],
  rejected: ["bad", "refused"],
  expired: ["bad", "expired"],
};

export function OrderState({ state }: { state: CommandState }) {
  const [tone, word] = LOOKS[state] ?? ["idle", state];
  return <State tone={tone}>{word}</State>;
}
