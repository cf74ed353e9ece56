// The few pictures, drawn with the colour of the text around them.

import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      stroke-width="1.5"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const SearchIcon = () => (
  <Icon>
    <circle cx="7" cy="7" r="4.25" />
    <path d="m10.25 10.25 3.5 3.5" />
  </Icon>
);
export const CopyIcon = () => (
  <Icon>
    <rect x="5.5" y="5.5" width="8" height="8" rx="1" />
    <path d="M10.500 5.500v-2a1 1 0 0 0-1-1h-6a1 1 0 0 0-1 1v6a1 1 0 0 0 1 1h2" />
  </Icon>
);
export const CloseIcon = () => (
  <Icon>
    <path d="m4 4 8 8m0-8-8 8" />
  </Icon>
);
export const DownIcon = () => (
  <Icon>
    <path d="m4 6 4 4 4-4" />
  </Icon>
);
export const PersonIcon = () => (
  <Icon>
    <circle cx="8" cy="5.500" r="2.500" />
    <path d="M3 13.500c.6-2.600 2.600-4 5-4s4.400 1.400 5 4" />
  </Icon>
);
export const WarnIcon = () => (
  <Icon>
    <path d="M8 2.500 14 13H2zM8 6.500v3M8 11.200v.1" />
  </Icon>
);
export const ClockIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="5.500" />
    <path d="M8 4.750V8l2.250 1.500" />
  </Icon>
);
/** The mark: a signpost's arrow. */
export const Mark = () => (
  <svg viewBox="0 0 26 22" aria-hidden="true">
    <path d="M1 2h17l7 9-7 9H1z" fill="var(--mark)" />
    <path
      d="M5 11h12m-4.500-4.500L17 11l-4.500 4.500"
      fill="none"
      stroke="#14191a"
      stroke-width="2.250"
    />
  </svg>
);
