/** Methods of Node's Buffer that its type declarations leave out: conversions without argument checks or encodings by name. */
declare global {
  interface Buffer {
    latin1Slice(start: number, end: number): string;
    utf8Slice(start: number, end: number): string;
    /** Bytes written; never half a character. */
    utf8Write(text: string, at: number): number;
  }
}

export {};
