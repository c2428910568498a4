import { readdirSync } from "node:fs";
import { defineConfig } from "vite";

const jsx = { oxc: { jsx: { runtime: "automatic" as const, importSource: "preact" } } };

/** The page, into the Python package that serves it; with `--mode test`, the unit tests as plain modules for Node. */
export default defineConfig(({ mode }) => (mode === "test" ? { ...jsx, build: tests() } : { ...jsx, base: "./", build: page() }));

function page() {
  return {
    outDir: "../orchestrator/server/page",
    emptyOutDir: true,
    assetsInlineLimit: 0, // a file each, so that the page's policy needs no exception
    modulePreload: false,
    reportCompressedSize: false,
    target: "es2022",
  };
}

function tests() {
  return {
    ssr: true,
    outDir: ".tests",
    target: "es2022",
    reportCompressedSize: false,
    rollupOptions: { input: readdirSync("tests").map((name) => `tests/${name}`) },
  };
}
