// Messages of one device that could not be applied.

import { letterTotal } from "../../parts/letter_total";
import { LetterList } from "../letters/list";

export function DeviceLettersTab({ device }: { device: string }) {
  return <LetterList filter={{ device }} lengthMs={0} total={letterTotal.value} />;
}
