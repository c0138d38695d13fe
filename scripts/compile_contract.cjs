// Compiles comms/contracts/CoveyLedger.sol and writes its ABI and its bytecode into a folder.
//
//     node scripts/compile_contract.cjs FOLDER_OF_NODE_MODULES OUTPUT_FOLDER
const fs = require("fs");
const path = require("path");

const [modules, output] = process.argv.slice(2);
const solc = require(path.resolve(modules, "solc"));
const name = "CoveyLedger";
const content = fs.readFileSync(path.join(__dirname, `../comms/contracts/${name}.sol`), "utf8");

const input = {
    language: "Solidity",
    sources: { [`${name}.sol`]: { content } },
    settings: {
        optimizer: { enabled: true, runs: 200 },
        // The oldest rules that any chain in use still lacks nothing of.
        evmVersion: "paris",
        // Without a hash of the source's path and comments in the bytecode.
        metadata: { bytecodeHash: "none" },
        outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
};
const result = JSON.parse(solc.compile(JSON.stringify(input)));
for (const error of result.errors ?? []) console.error(error.formattedMessage);
// Warnings count, too.
if (result.errors?.length) process.exit(1);

const contract = result.contracts[`${name}.sol`][name];
fs.mkdirSync(output, { recursive: true });
fs.writeFileSync(path.join(output, `${name}.abi.json`), JSON.stringify(contract.abi, null, 1) + "\n");
fs.writeFileSync(path.join(output, `${name}.bin`), contract.evm.bytecode.object + "\n");
