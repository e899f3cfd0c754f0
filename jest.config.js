/** What every suite has in common. */
export const common = {
  testTimeout: 180_000,
  extensionsToTreatAsEsm: [".ts"],
  transform: {
    "^.+\\.ts$": ["@swc/jest", { jsc: { target: "esnext", parser: { syntax: "typescript" } } }],
  },
};

/** `npm test`. Suites that need more than Node and a control plane live under test/e2e: jest.e2e.config.js. */
export default {
  // Jest takes no limit from a project.
  testTimeout: common.testTimeout,
  projects: [
    {
      ...common,
      displayName: "local",
      testMatch: [
        "<rootDir>/test/*.test.ts",
        "<rootDir>/test/{unit,conformance}/**/*.test.ts",
        "<rootDir>/test/integration/local/**/*.test.ts",
      ],
    },
    {
      ...common,
      // Jest runs the two only where a suite of this project is in the run.
      globalSetup: "<rootDir>/test/support/control-plane/jest-setup.ts",
      globalTeardown: "<rootDir>/test/support/control-plane/jest-teardown.ts",
      displayName: "cluster",
      testMatch: ["<rootDir>/test/integration/cluster/**/*.test.ts", "<rootDir>/test/chart/**/*.test.ts"],
    },
  ],
};
