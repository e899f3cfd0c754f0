import { describe, expect, it } from "@jest/globals";
import { type ErrorCode, OperatorError } from "../../../src/core/errors.ts";
import { errorResponse } from "../../../src/http/error-response.ts";

function respond(code: ErrorCode): readonly [number, { code: string; message: string }] {
  const error = new OperatorError(code, "inner text", {
    details: { path: "canary" },
    cause: new Error("canary"),
  });
  const { status, body } = errorResponse(error);
  return [status, JSON.parse(body)];
}

describe("errorResponse", () => {
  it.each<[ErrorCode, number, string]>([
    ["INVALID_INPUT", 400, "inner text"],
    ["VERIFICATION_FAILED", 401, "inner text"],
    ["NOT_FOUND", 404, "there is nothing at this path"],
    ["CONFLICT", 409, "the request conflicts with the present state"],
    ["SIGNING_FAILED", 500, "internal error"],
    ["INVALID_CONFIGURATION", 500, "internal error"],
    ["AUTHORITY_NOT_READY", 503, "not ready yet; try again shortly"],
    ["JOURNAL_MISSING", 503, "not ready yet; try again shortly"],
    ["SECRET_INVALID", 503, "not ready yet; try again shortly"],
  ])("%s → %i %s", (code, status, message) => {
    expect(respond(code)).toEqual([status, { code, message }]);
  });

  it.each([new Error("canary"), "canary", undefined, { statusCode: 404, code: "E", message: "canary" }])(
    "shows nothing of %p, which is not ours",
    (thrown) => {
      expect(errorResponse(thrown)).toEqual({
        status: 500,
        body: '{"code":"INTERNAL","message":"internal error"}\n',
      });
    },
  );
});
