import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { constructReference } from '../../src/docker/construct.ts';
import { fakeEngine } from '../fakes/engine.ts';
import { makeSandbox } from './run.ts';

const packageRoot = path.resolve(import.meta.dirname, '../..');

const NOWHERE = { PATH: '/nonexistent' };

describe('construct status', () => {
  test('says what is there, how it is made and what it holds', async () => {
    const { run } = await makeSandbox();
    const reference = await constructReference(packageRoot);
    const engine = fakeEngine({ images: ['debian:trixie', reference] });
    const { code, stdout } = await run(['construct', 'status'], { engine, env: NOWHERE, deps: { now: () => new Date('2026-11-24T11:00:00Z') } });
    expect(code).toBe(0);
    expect(stdout.split('\n').slice(0, 3)).toEqual([
      `construct  ${reference}`,
      expect.stringMatching(/^image {6}0{12}, 270 MB, made 3 days ago$/),
      'how        built on a Debian base (local image debian:trixie-slim or debian:trixie)',
    ]);
    expect(stdout).toMatch(/^tools {6}bash ca-certificates .*\bsudo\b.*\bzsh$/m);
    expect(engine.calls).toEqual([]);
  });

  test('is as good for a script, and for one that is named from outside and not there', async () => {
    const { run } = await makeSandbox();
    const { code, stdout } = await run(['construct', 'status', '--format', 'json'], { engine: fakeEngine(), env: { ...NOWHERE, JACKIN_CONSTRUCT_IMAGE: 'mine:1' } });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      data: { reference: 'mine:1', present: false, id: null, size: null, created_at: null, how: 'named by JACKIN_CONSTRUCT_IMAGE', tools: null },
    });
  });
});

describe('construct build', () => {
  test('makes what is not there, leaves what is, and makes it anew when it is told to', async () => {
    const { run } = await makeSandbox();
    const reference = await constructReference(packageRoot);
    const engine = fakeEngine({ images: ['debian:trixie-slim'] });
    const build = async (...more: string[]) => await run(['construct', 'build', ...more], { engine, env: NOWHERE });
    const first = await build();
    expect(first.stdout).toBe(`${reference} is built on debian:trixie-slim\n`);
    expect(first.stderr).toMatch(/^construct {2}step 1\/\d+ ARG BASE/m);
    const before = await engine.imageId(reference);
    expect((await build()).stdout).toBe(`${reference} is there already\n`);
    expect((await build('--rebuild')).stdout).toBe(`${reference} is built on debian:trixie-slim\n`);
    expect(engine.calls).toEqual([`buildImage ${reference}`, `buildImage ${reference}`, `removeImage ${before}`]);
  });
});
