import { common } from "./jest.config.js";

/** Suites with a container engine: `npm run e2e:image` wants docker. */
export default { ...common, maxWorkers: 1, testMatch: ["<rootDir>/test/e2e/image/**/*.test.ts"] };
