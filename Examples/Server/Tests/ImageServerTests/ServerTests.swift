import Foundation
import ImageServer
import ServerClient
import Testing
import Wuerstchen
import WuerstchenMiniature

/// The server as a client meets it.
@Suite(.timeLimit(.minutes(5)))
struct ServerTests {
    private let prompt = "a red house"

    @Test func openAIsInterfaceGivesImages() async throws {
        try await withServer(Cascade.small.get()) { _, client in
            let body = try json([
                "prompt": prompt, "n": 2, "size": "128x160", "seed": 3, "quality": "high",
            ])
            let answers = [
                try await client.send(.post, "/v1/images/generations", body: body),
                try await client.send(.post, "/v1/images/generations", body: body),
            ]
            var files: [[Data?]] = []
            for answer in answers {
                #expect(answer.status == 200)
                let data = try #require(try answer.object["data"] as? [[String: String]])
                files.append(data.map { Data(base64Encoded: $0["b64_json"] ?? "") })
            }
            #expect(files[0] == files[1])
            let sizes = try files[0].map { try Image(pngData: #require($0)).size }
            #expect(sizes == [ImageSize](repeating: ImageSize(width: 128, height: 160), count: 2))
            let counts = try await client.counts()
            #expect(counts["wuerstchen_requests_total{outcome=\"completed\"}"] == 2)
            #expect(counts["wuerstchen_images_total"] == 4)
            #expect(counts["wuerstchen_generation_seconds_count"] == 2)
            #expect(counts["wuerstchen_generation_seconds_bucket{le=\"+Inf\"}"] == 2)
            #expect(counts["wuerstchen_queue_length"] == 0)
        }
    }

    @Test func eventsTellOfStepsPreviewsAndImages() async throws {
        let cascade = try Cascade.small.get()
        try await withServer(cascade) { _, client in
            let events = try await client.allEvents([
                "prompt": "a red qwertz", "width": 128, "height": 128, "seed": 5,
            ])
            #expect(
                events.map(\.name) == ["queued", "step", "preview"]
                    + Array(repeating: "step", count: 4) + ["image", "done"])
            #expect(try events[0].object["ahead"] as? Int == 0)
            #expect(try events[1].object["stage"] as? String == "Stage C")
            #expect(try events[1].object["unknown_words"] as? [String] == ["qwertz"])
            let image = try #require(events.first { $0.name == "image" })
            #expect(try image.object["seed"] as? Int == 5)
            let size = ImageSize(width: 128, height: 128)
            #expect(
                try image.image
                    == cascade.makeImages(
                        for: GenerationRequest("a red qwertz", size: size, seed: 5))[0])
        }
    }

    @Test func aMaskIsMadeAnewAndTheRestIsKept() async throws {
        let gate = Gate()
        gate.open()
        try await withServer(Cascade.gated(by: gate)) { _, client in
            let size = ImageSize(width: 128, height: 128)
            let pixels = (0..<3 * 128 * 128).map { UInt8(truncatingIfNeeded: $0 / 5) }
            let image = try Image(width: 128, height: 128, pixels: pixels)
            let mask = try ImageMask(size, columns: 64..<128, rows: 0..<128)
            let events = try await client.allEvents([
                "prompt": prompt, "previews": false,
                "image": try image.pngData().base64EncodedString(),
                "mask": try mask.image.pngData().base64EncodedString(),
            ])
            let made = try #require(events.first { $0.name == "image" }).image
            #expect(made.size == size)
            #expect(made[10, 10] == image[10, 10] && made[63, 100] == image[63, 100])
            #expect(made[120, 60] == (128, 128, 128))
            #expect(!events.contains { $0.name == "preview" })
        }
    }

    @Test(arguments: [
        (#"{"n": 1}"#, "prompt", "prompt is missing"),
        (#"{"prompt": 7}"#, "prompt", "prompt must be a text"),
        (#"{"prompt": "a", "n": 5}"#, "n", "n is 5; this server makes 1 to 4 at once"),
        (#"{"prompt": "a", "n": 1.5}"#, "", "cannot be read"),
        (#"{"prompt": "a", "size": "large"}"#, "size", "size is large; give width and height"),
        (#"{"prompt": "a", "size": "2048x128"}"#, "size", "images of up to 1024 a side"),
        (#"{"prompt": "a", "size": "64x64"}"#, "size", "64"),
        (#"{"prompt": "a", "response_format": "url"}"#, "response_format", "ask for b64_json"),
        ("{", "", "the body cannot be read"),
    ])
    func openAIsInterfaceSaysWhatIsWrong(body: String, field: String, part: String) async throws {
        try await expectRefusal("/v1/images/generations", body, field, part)
    }

    @Test(arguments: [
        (#"{"prompt": "a", "step": 3}"#, "step", "there is no field step"),
        (#"{"prompt": "a", "count": 0}"#, "count", "count is 0"),
        (#"{"prompt": "a", "steps": 101}"#, "steps", "it must be from 1 to 100"),
        (#"{"prompt": "a", "mask": ""}"#, "mask", "a mask needs an image"),
        (#"{"prompt": "a", "image": "AAAA"}"#, "image", "the image is not a PNG file"),
        (#"{"prompt": "a", "image": "?"}"#, "image", "image cannot be read"),
        (#"{"prompt": "a", "width": -1}"#, "width", "-1"),
        (#"{"prompt": "a", "height": 127}"#, "height", "256×127"),
        (#"{"prompt": "a", "width": 1025}"#, "width", "up to 1024 a side"),
        (#"{"prompt": "a", "height": 1025}"#, "height", "up to 1024 a side"),
        (#"{"prompt": "a", "guidance": 1e9}"#, "guidance", "guidance is"),
        (#"{"prompt": "a", "guidance": 4}"#, "guidance", "distilled to one step"),
        (#"{"prompt": "a", "steps": 2}"#, "steps", "distilled to one step"),
    ])
    func generationsSayWhatIsWrong(body: String, field: String, part: String) async throws {
        try await expectRefusal("/v1/generations", body, field, part)
    }

    @Test func longPromptsAreNamed() async throws {
        let long = String(repeating: "a", count: 8193)
        for field in ["prompt", "negative_prompt"] {
            let body = try json(["prompt": "a"].merging([field: long]) { $1 })
            let text = String(decoding: body, as: UTF8.self)
            try await expectRefusal("/v1/generations", text, field, "\(field) has 8193 bytes")
        }
    }

    @Test func whatCannotBeMadeOfAnImageIsSaid() async throws {
        func file(_ width: Int, _ height: Int, _ sample: UInt8 = 255) throws -> String {
            try Image(
                width: width, height: height,
                pixels: [UInt8](repeating: sample, count: 3 * width * height)
            ).pngData().base64EncodedString()
        }
        let image = try file(128, 128)
        let cases: [(fields: [String: Any], field: String, part: String)] = [
            (
                ["image": try file(4097, 1)], "image",
                "has 4097×1 pixels; images can have up to 4096"
            ),
            (
                ["image": image, "mask": try file(1, 4097)], "mask",
                "has 1×4097 pixels; images can have up to 4096"
            ),
            (["image": image, "mask": try file(128, 129)], "mask", "128×129"),
            (["image": image, "mask": try file(128, 128, 0)], "mask", "selects nothing"),
            (["image": image, "strength": 2], "strength", "a strength of 2"),
            (["image": image, "strength": 0.5], "strength", "cannot start at a strength of 0.5"),
            // Which is what it would be.
            (["image": image], "strength", "cannot start at a strength of 0.7"),
            (["image": try file(2000, 128)], "width", "2000×128 pixels"),
        ]
        for (fields, field, part) in cases {
            let body = try json(fields.merging(["prompt": "a"]) { $1 })
            try await expectRefusal(
                "/v1/generations", String(decoding: body, as: UTF8.self), field, part)
        }
    }

    @Test func aCascadeThatReadsNoImagesSaysSo() async throws {
        var cascade = try Cascade.small.get()
        cascade.compressor = nil
        let pixels = [UInt8](repeating: 255, count: 3 * 128 * 128)
        let file = try Image(width: 128, height: 128, pixels: pixels).pngData()
            .base64EncodedString()
        let body = try json(["prompt": "a", "image": file, "mask": file])
        try await withServer(cascade) { _, client in
            let answer = try await client.send(.post, "/v1/generations", body: body)
            #expect(answer.status == 400)
            #expect((try answer.error["message"] as? String)?.contains("compressor") == true)
        }
    }

    @Test func aLimitBelowTheModelsSizeIsTheSize() async throws {
        var settings = ServerSettings()
        settings.maximumSide = 160
        try await withServer(Cascade.small.get(), settings) { _, client in
            let models = try await client.send(.get, "/v1/models").object["data"]
            #expect(try #require(models as? [[String: Any]])[0]["width"] as? Int == 160)
            let events = try await client.allEvents(["prompt": prompt, "previews": false])
            let made = try #require(events.first { $0.name == "image" })
            #expect(try made.image.size == ImageSize(width: 160, height: 160))
            let answer = try await client.send(
                .post, "/v1/images/generations", body: json(["prompt": prompt, "size": "auto"]))
            #expect(answer.status == 200)
        }
    }

    @Test func imagesHaveTheRecordThatMakesThemAgain() async throws {
        let cascade = try Cascade.small.get()
        // Larger than what is made of it, so that it is fitted.
        let pixels = (0..<3 * 200 * 160).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let image = try Image(width: 200, height: 160, pixels: pixels)
        let mask = try ImageMask(image.size, columns: 60..<140, rows: 0..<160)
        let plain: [String: Any] = [
            "prompt": prompt, "width": 128, "height": 144, "seed": 5, "count": 2,
            "previews": false,
        ]
        let edit: [String: Any] = [
            "image": try image.pngData().base64EncodedString(),
            "mask": try mask.image.pngData().base64EncodedString(),
        ]
        try await withServer(cascade) { _, client in
            for (fields, isEdit) in [(plain, false), (plain.merging(edit) { $1 }, true)] {
                let made = try await client.allEvents(fields).filter { $0.name == "image" }
                #expect(made.count == 2)
                for event in made {
                    let folder = FileManager.default.temporaryDirectory
                    let url = folder.appending(path: "\(UUID().uuidString).png")
                    defer { try? FileManager.default.removeItem(at: url) }
                    let png = try event.object["png"] as? String ?? ""
                    try #require(Data(base64Encoded: png)).write(to: url)
                    let (record, found) = try GenerationRecord.read(contentsOf: url)
                    let request = try record.request(
                        image: isEdit ? image : nil, mask: isEdit ? mask : nil)
                    #expect(!record.weights.isEmpty)
                    try record.requireWeights(of: cascade, for: request)
                    #expect(try cascade.makeImages(for: request) == [found])
                }
            }
        }
    }

    private func expectRefusal(
        _ path: String, _ body: String, _ field: String, _ part: String
    ) async throws {
        try await withServer(Cascade.small.get()) { server, client in
            let answer = try await client.send(.post, path, body: Data(body.utf8))
            #expect(answer.status == 400)
            let error = try answer.error
            #expect(error["type"] as? String == "invalid_request_error")
            #expect(error["param"] as? String ?? "" == field)
            #expect((error["message"] as? String ?? "").contains(part))
            let counts = try await client.counts()
            #expect(counts["wuerstchen_requests_total{outcome=\"invalid\"}"] == 1)
            #expect(!server.queue.isBusy)
        }
    }

    @Test func whatIsNoRequestIsRefused() async throws {
        var settings = ServerSettings()
        settings.maximumBody = 1000
        try await withServer(Cascade.small.get(), settings) { _, client in
            let long = try json(["prompt": String(repeating: "a", count: 2000)])
            let path = "/v1/images/generations"
            let answers = [
                (try await client.send(.post, path, body: long), 413, "body_too_large"),
                (
                    try await client.send(.post, path, type: "text/plain", body: Data("{}".utf8)),
                    415, "unsupported_media_type"
                ),
                (try await client.send(.get, "/nothing"), 404, "not_found"),
            ]
            for (answer, status, code) in answers {
                #expect(answer.status == status)
                #expect(try answer.error["code"] as? String == code)
            }
        }
    }

    @Test func aTokenIsAskedFor() async throws {
        var settings = ServerSettings()
        settings.token = "secret"
        try await withServer(Cascade.small.get(), settings) { _, client in
            for token in [nil, "secre", "secreT", "secrets"] {
                let stranger = ServerClient(port: client.port, token: token)
                for path in ["/v1/models", "/metrics"] {
                    let answer = try await stranger.send(.get, path)
                    #expect(answer.status == 401)
                    #expect(try answer.error["code"] as? String == "invalid_api_key")
                }
                // Neither shows anything.
                #expect(try await stranger.send(.get, "/").status == 200)
                #expect(try await stranger.send(.get, "/health").status == 200)
            }
            let answer = try await client.send(.get, "/v1/models")
            #expect(answer.status == 200)
            let model = try #require(try answer.object["data"] as? [[String: Any]])[0]
            #expect(model["takes_images"] as? Bool == true)
            #expect(model["takes_strengths"] as? Bool == false)
            #expect(model["width"] as? Int == 256)
        }
    }

    @Test func thePageIsServed() async throws {
        try await withServer(Cascade.small.get()) { _, client in
            let answer = try await client.send(.get, "/")
            #expect(answer.headers["content-type"] == "text/html; charset=utf-8")
            #expect(String(decoding: answer.body, as: UTF8.self).contains("/v1/generations"))
        }
    }
}
