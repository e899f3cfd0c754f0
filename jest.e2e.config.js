import { common } from "./jest.config.js";

/** Suites with peers in other programs: `npm run e2e:local` wants python3 and openssl. */
export default { ...common, testMatch: ["<rootDir>/test/e2e/local/**/*.test.ts"] };
