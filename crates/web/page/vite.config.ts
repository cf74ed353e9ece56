// Builds the page into dist/, which the web crate embeds. Nothing is inlined, so that the strictest
// Content-Security-Policy holds: no script, style or picture stands inside a document.
import { defineConfig } from "vite";

export default defineConfig({
  base: "/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
    sourcemap: false,
    license: { fileName: "licences.md" },
  },
});
