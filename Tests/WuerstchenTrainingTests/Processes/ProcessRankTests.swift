import Foundation
import TensorCore
import Testing
import WuerstchenTraining
import _WuerstchenTestSupport

@Suite("Ranks of processes") struct ProcessRankTests {
    @Test(
        "launchers say which process one is",
        arguments: [
            [:], ["OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "5"],
            ["PMI_RANK": "2", "PMI_SIZE": "5"], ["RANK": "2", "WORLD_SIZE": "5"],
            ["SLURM_PROCID": "2", "SLURM_NTASKS": "5"],
            ["SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "5"],
            [
                "SLURM_PROCID": "2", "SLURM_NTASKS": "5", "SLURM_JOB_ID": "9",
                "SLURM_STEP_ID": "0",
            ],
            // Started by one of SLURM's tasks.
            [
                "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "5", "SLURM_PROCID": "1",
                "SLURM_NTASKS": "2",
            ],
            [
                "OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "5", "RANK": "2",
                "WORLD_SIZE": "5",
            ],
        ])
    func launchers(_ environment: [String: String]) throws {
        let rank = try ProcessRank(environment: environment)
        #expect(rank == (environment.isEmpty ? .single : try ProcessRank(2, of: 5)))
    }

    @Test("in a batch script, SLURM's variables are those of the job")
    func script() throws {
        let environment = ["SLURM_PROCID": "0", "SLURM_NTASKS": "5", "SLURM_JOB_ID": "9"]
        #expect(try ProcessRank(environment: environment) == .single)
    }

    @Test("what is half set, impossible or contradictory is named")
    func errors() throws {
        for (environment, words) in [
            (["RANK": "1"], ["RANK is set", "WORLD_SIZE is not"]),
            (["PMI_SIZE": "1"], ["PMI_SIZE is set", "PMI_RANK is not"]),
            (["SLURM_PROCID": "1"], ["SLURM_PROCID is set", "SLURM_NTASKS is not"]),
            (["RANK": "2", "WORLD_SIZE": "2"], ["RANK and WORLD_SIZE are 2 and 2"]),
            (["RANK": "-1", "WORLD_SIZE": "2"], ["are -1 and 2"]),
            (["RANK": "0", "WORLD_SIZE": "0"], ["are 0 and 0"]),
            (["RANK": "one", "WORLD_SIZE": "2"], ["are one and 2", "whole numbers"]),
            (
                [
                    "OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "RANK": "1",
                    "WORLD_SIZE": "2",
                ], ["OMPI_COMM_WORLD_RANK", "process 0 of 2", "RANK and WORLD_SIZE process 1 of 2"]
            ),
        ] {
            do {
                _ = try ProcessRank(environment: environment)
                Issue.record("\(environment) was taken")
            } catch let error as WuerstchenError {
                #expect(error.code == .invalidRequest)
                for word in words { #expect(error.message.contains(word), "\(error.message)") }
            }
        }
    }

    @Test("each piece of work is one process's", arguments: 1...5)
    func pieces(_ count: Int) throws {
        let ranks = try (0..<count).map { try ProcessRank($0, of: count) }
        for piece in 0..<20 { #expect(ranks.count { $0.takes(piece) } == 1) }
    }
}
