// What other users of the machine see of a command line: without join tokens and without passwords in URLs. The runtime can only
// say so once it runs; where even that moment counts, tokens and passwords come by the environment.
const hidden = "***";

exports.hideSecrets = () => {
  const [node, program, ...args] = process.argv;
  const shown = args.map((text, at) =>
    args[at - 1] === "--token"
      ? hidden
      : text
          .replace(/^(--token=).*/s, `$1${hidden}`)
          .replace(/^(postgres(?:ql)?:\/\/[^:]*:).*@/s, `$1${hidden}@`),
  );
  if (shown.some((text, at) => text !== args[at])) process.title = [node, program, ...shown].join(" ");
};
