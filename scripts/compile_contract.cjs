// Compiles comms/contracts/CoveyLedger.sol and writes ABI and bytecode to a folder.
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
        // Newer versions use opcodes that some chains do not support.
        evmVersion: "paris",
        // No hash of path and comments in the bytecode: it must depend on the code only.
        metadata: { bytecodeHash: "none" },
        outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
};
const result = JSON.parse(solc.compile(JSON.stringify(input)));
for (const error of result.errors ?? []) console.error(error.formattedMessage);
// Warnings are errors as well.
if (result.errors?.length) process.exit(1);

const contract = result.contracts[`${name}.sol`][name];
fs.mkdirSync(output, { recursive: true });
fs.writeFileSync(path.join(output, `${name}.abi.json`), JSON.stringify(contract.abi, null, 1) + "\n");
fs.writeFileSync(path.join(output, `${name}.bin`), contract.evm.bytecode.object + "\n");
