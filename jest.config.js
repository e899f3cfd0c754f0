/** `npm test`. Suites that need more than Node live under test/e2e and run with jest.e2e.config.js. */
export default {
  testMatch: ["<rootDir>/test/*.test.ts", "<rootDir>/test/{unit,conformance,integration}/**/*.test.ts"],
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "^.+\\.ts$": ["@swc/jest", { jsc: { target: "esnext", parser: { syntax: "typescript" } } }],
  },
  testTimeout: 30_000,
};
