/**
 * The lines of a stream: a watch sends one JSON document a line.
 */

/** A ConfigMap full of control characters comes near to 8 MiB. */
const MAX_LINE = 16 * 1024 * 1024;

/** Without line ends; a last piece without one is dropped: the connection broke in its middle. */
export async function* readLines(chunks: AsyncIterable<Uint8Array>): AsyncIterable<string> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of chunks) {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
      parts.push(rest.subarray(0, end));
      rest = rest.subarray(end + 1);
      const line = Buffer.concat(parts).toString("utf8");
      parts = [];
      size = 0;
      if (line.trim() !== "") yield line;
    }
    size += rest.byteLength;
    if (size > MAX_LINE) throw new Error(`a line of more than ${MAX_LINE} bytes`);
    if (rest.byteLength > 0) parts.push(rest);
  }
}
