/**
 * Runs before the tests of plugins: gives them "tidewire" and "tidewire/testing", and ends what they
 * forget. In the executable it is one file with all that it imports, made by build.ts.
 */
import { afterEach, beforeEach } from "bun:test";
import { provideModule } from "../../plugin/load.ts";
import * as sdk from "../../plugin/sdk.ts";
import { testBegins, testEnds } from "./forgotten.ts";
import * as testing from "./testing-sdk.ts";

provideModule("tidewire", sdk);
provideModule("tidewire/testing", testing);
beforeEach(testBegins);
afterEach(testEnds);
