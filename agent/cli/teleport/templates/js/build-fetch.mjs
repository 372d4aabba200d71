// Makes the component with StarlingMonkey, which has `fetch` and what else browsers have, in place of QuickJS.

import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const { component } = await componentize({ sourcePath: 'src/plugin.js', witPath: 'wit', worldName: 'plugin' });
await writeFile('plugin.wasm', component);
