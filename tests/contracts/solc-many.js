// The pinned Solidity compiler, loaded once and asked many times: a standard JSON input a line in, its output a line out.
'use strict';
const fs = require('fs');
const path = require('path');
const readline = require('readline');
const solc = require(path.resolve(__dirname, '..', '..', 'node_modules', 'solc'));
const find = (wanted) => {
  const file = path.resolve(process.cwd(), wanted);
  return fs.existsSync(file) ? { contents: fs.readFileSync(file, 'utf8') } : { error: 'File not found: ' + wanted };
};
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  process.stdout.write(JSON.stringify(JSON.parse(solc.compile(line, { import: find }))) + '\n');
});
