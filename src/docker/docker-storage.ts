import type Docker from 'dockerode';
import { JackinError } from '../shared/errors.ts';
import { bounded, boundedOr, engineMessage, listOf, statusOf, withSignal } from './engine-call.ts';
import type { Engine, Labels, Removal, VolumeInfo } from './engine.ts';

type StorageCalls = Pick<
  Engine,
  | 'createVolume'
  | 'volume'
  | 'listVolumes'
  | 'removeVolume'
  | 'networkSubnets'
  | 'createNetwork'
  | 'connectNetwork'
  | 'listNetworks'
  | 'networkExists'
  | 'removeNetwork'
>;

export const labelFilter = (labels: Labels): { label: string[] } => ({
  label: Object.entries(labels).map(([key, value]) => `${key}=${value}`),
});

/** Newer than the client's types. */
type Created = Docker.VolumeInspectInfo & { CreatedAt?: string };

const volumeInfo = (volume: Docker.VolumeInspectInfo): VolumeInfo => ({
  name: volume.Name,
  labels: volume.Labels ?? {},
  createdAt: (volume as Created).CreatedAt ?? '',
});

const volumeCalls = (docker: Docker): Pick<StorageCalls, 'createVolume' | 'volume' | 'listVolumes' | 'removeVolume'> => ({
  createVolume: async (name, labels) => {
    await bounded(`creating volume ${name}`, async (signal) =>
      await docker.createVolume(withSignal({ Name: name, Labels: { ...labels } }, signal)),
    );
  },

  volume: async (name) =>
    await boundedOr(`looking up volume ${name}`, 404, undefined, async (signal) =>
      volumeInfo(await docker.getVolume(name).inspect(withSignal({}, signal))),
    ),

  listVolumes: async (labels) => {
    return await bounded('listing volumes', async (signal) => {
      const found = await docker.listVolumes(withSignal({ filters: labelFilter(labels) }, signal) as Docker.VolumeListOptions);
      return (found.Volumes ?? []).map(volumeInfo);
    });
  },

  removeVolume: async (name) =>
    await boundedOr<Removal, Removal>(`removing volume ${name}`, 404, 'absent', async (signal) => {
      try {
        await docker.getVolume(name).remove(withSignal({}, signal));
      } catch (error) {
        if (statusOf(error) !== 409) throw error;
        throw new JackinError('conflict', `volume ${name} is in use: ${engineMessage(error)}`, { cause: error });
      }
      return 'removed';
    }),
});

export const storageCalls = (docker: Docker): StorageCalls => ({
  ...volumeCalls(docker),

  networkSubnets: async () => {
    return await bounded('listing networks', async (signal) => {
      const networks = listOf(await docker.listNetworks(withSignal({}, signal)));
      return networks.flatMap((network) => (network.IPAM?.Config ?? []).flatMap((config) => config.Subnet ?? []));
    });
  },

  createNetwork: async ({ name, labels, subnet }) =>
    await bounded(`creating network ${name}`, async (signal) => {
      const IPAM = { Driver: 'default', Config: [{ Subnet: subnet }] };
      const options = { Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: { ...labels }, IPAM };
      try {
        await docker.createNetwork(withSignal(options, signal));
        return 'created';
      } catch (error) {
        const message = engineMessage(error);
        if (/overlaps/i.test(message)) return 'overlaps';
        if (statusOf(error) === 409) throw new JackinError('conflict', `creating network ${name}: ${message}`, { cause: error });
        throw error;
      }
    }),

  connectNetwork: async (network, container) => {
    await bounded(`connecting ${container} to network ${network}`, async (signal) =>
      await docker.getNetwork(network).connect(withSignal({ Container: container }, signal)),
    );
  },

  listNetworks: async (labels) => {
    return await bounded('listing networks', async (signal) => {
      const networks = listOf(await docker.listNetworks(withSignal({ filters: labelFilter(labels) }, signal) as Docker.NetworkListOptions));
      return networks.map((network) => ({ name: network.Name, labels: network.Labels ?? {} }));
    });
  },

  networkExists: async (name) =>
    await boundedOr(`looking up network ${name}`, 404, false, async () => {
      const found = await docker.getNetwork(name).inspect();
      // The engine also takes the beginning of an id for a name.
      return found.Name === name || found.Id === name;
    }),

  removeNetwork: async (name) =>
    await boundedOr<Removal, Removal>(`removing network ${name}`, 404, 'absent', async (signal) => {
      await docker.getNetwork(name).remove(withSignal({}, signal));
      return 'removed';
    }),
});
