/** Text and binary forms of values for the wire: the codecs of model/io.ts, writing into one scratch buffer. */

import { ByteWriter } from "../model/bytes.js";
import { binaryWriterOf, textOutputOf } from "../model/io.js";
import type { TypeOutputs } from "./rows.js";

/** A scratch buffer beyond this is not kept for the next value. */
const keptBytesMax = 1024 * 1024;

let scratch = new ByteWriter(1024);

export const typeOutputs: TypeOutputs = {
  textOutputOf,
  binaryOutputOf: (oid) => {
    const write = binaryWriterOf(oid);
    return (value) => {
      if (scratch.buffer.length > keptBytesMax) scratch = new ByteWriter(1024);
      scratch.reset();
      write(value, scratch);
      return scratch.buffer.subarray(0, scratch.length);
    };
  },
};
