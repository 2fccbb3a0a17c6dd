import Testing
import WuerstchenTraining

@testable import WuerstchenScenes

@Suite struct SceneCaptionTests {
    private struct Sample {
        let classes: [Int]
        let text: String
        let isMentioned: [Bool]

        func value(_ attribute: SceneAttribute) -> Int { classes[attribute.rawValue] }
        func mentions(_ attribute: SceneAttribute) -> Bool { isMentioned[attribute.rawValue] }
    }

    private func samples(_ count: Int, seed: UInt64 = 1, mentionsAll: Bool = false) -> [Sample] {
        var random = RandomStream(seed)
        return (0..<count).map { _ in
            let classes = SceneAttribute.allCases.map { random.integer(below: $0.classCount) }
            let caption = SceneCaption.draw(classes, &random, mentionsAll: mentionsAll)
            return Sample(
                classes: classes, text: caption.text, isMentioned: caption.isMentioned)
        }
    }

    private func words(_ text: String) -> [String] {
        text.split { $0 == " " || $0 == "," }.map(String.init)
    }

    private func rate(_ samples: [Sample], _ attribute: SceneAttribute) -> Double {
        Double(samples.count { $0.mentions(attribute) }) / Double(samples.count)
    }

    @Test func captionsDependOnTheStreamAlone() {
        let texts = samples(200).map(\.text)
        #expect(texts == samples(200).map(\.text))
        #expect(texts != samples(200, seed: 2).map(\.text))
        #expect(Set(texts).count > 190, "the phrasing varies")
    }

    @Test func attributesAreLeftOutNowAndThen() {
        let samples = samples(12_000)
        let named = samples.filter { $0.mentions(.object) }
        let skies = samples.filter { $0.value(.celestial) != 0 }
        let tolerance = 0.02
        #expect(abs(rate(samples, .object) - 0.96) < tolerance)
        #expect(abs(rate(named, .color) - 0.85) < tolerance)
        #expect(abs(rate(named, .position) - 0.75) < tolerance)
        #expect(abs(rate(named, .size) - 0.65) < tolerance)
        #expect(abs(rate(samples, .ground) - 0.88) < tolerance)
        #expect(abs(rate(samples, .sky) - 0.85) < tolerance)
        #expect(abs(rate(skies, .celestial) - 0.7) < tolerance)
        #expect(abs(rate(skies.filter { $0.mentions(.celestial) }, .side) - 0.65) < tolerance)
        #expect(abs(rate(samples.filter { $0.value(.celestial) == 0 }, .celestial) - 0.175) < 0.03)
    }

    @Test func whatDependsOnSomethingUnsaidIsUnsaid() {
        for sample in samples(6000) {
            #expect(!sample.text.isEmpty)
            #expect(sample.isMentioned.contains(true))
            if !sample.mentions(.object) {
                #expect(
                    !sample.mentions(.color) && !sample.mentions(.position)
                        && !sample.mentions(.size))
            }
            if !sample.mentions(.celestial) || sample.value(.celestial) == 0 {
                #expect(!sample.mentions(.side))
            }
        }
    }

    @Test func nothingIsLeftOutOnRequest() {
        for sample in samples(1000, mentionsAll: true) {
            let unsaid = SceneAttribute.allCases.filter { !sample.mentions($0) }
            #expect(unsaid == (sample.value(.celestial) == 0 ? [.side] : []))
        }
    }

    /// Words that only one class of one attribute has, wherever it is mentioned.
    private static let telling: [(SceneAttribute, [Set<String>])] = [
        (
            .object,
            [
                ["house", "cottage", "cabin"], ["tree"], ["sailboat", "boat", "yacht"], ["balloon"],
                ["lighthouse", "beacon"],
            ]
        ),
        (
            .color,
            [
                ["red", "crimson", "scarlet"], ["blue", "azure"], ["yellow", "golden"],
                ["green", "emerald"], ["white"], ["purple", "violet"], ["orange"],
            ]
        ),
        (.size, [["small", "little", "tiny"], ["large", "big", "huge"]]),
        (
            .ground,
            [
                ["hills", "meadow"], ["mountains", "peaks", "snow"],
                ["desert", "dunes"], ["sea", "ocean", "water"], ["city", "skyline", "skyscrapers"],
            ]
        ),
        (
            .sky,
            [
                ["clear", "daylight", "daytime", "blue sky", "bright day"],
                ["sunset", "dusk", "evening", "sundown"],
                ["overcast", "cloudy", "grey"],
                ["night", "starry", "stars"],
            ]
        ),
        (.celestial, [["no"], ["sun"], ["full", "round"], ["crescent", "thin"]]),
    ]

    @Test func captionsStateWhatIsTrueAndSayItAll() {
        for sample in samples(6000) {
            // Scenery has colours and light of its own, which are not the object's.
            let text = sample.text
                .replacing("green hills", with: "hills")
                .replacing("blue sky", with: "daylight")
                .replacing("bright day", with: "daylight")
                .replacing("bright sun", with: "sun")
                .replacing("no sun", with: "no")
            let found = Set(words(text))
            for (attribute, table) in Self.telling {
                let classes = table.indices.filter { !found.isDisjoint(with: table[$0]) }
                let expected = sample.mentions(attribute) ? [sample.value(attribute)] : []
                #expect(classes == expected, "\(attribute) of \"\(sample.text)\"")
            }
        }
    }

    /// The first place that a text names.
    private func place(in text: some StringProtocol) -> Int? {
        for word in words(String(text)) {
            switch word {
            case "left": return 0
            case "middle", "centre", "center": return 1
            case "right": return 2
            default: continue
            }
        }
        return nil
    }

    @Test func placesBelongToWhatTheyFollow() {
        let bodies: Set<String> = ["sun", "moon"]
        let nouns = Self.telling[0].1.reduce(into: Set<String>()) { $0.formUnion($1) }
        for sample in samples(6000) {
            // Up to three words after the noun: "to the left".
            func placeAfter(_ isNoun: (String) -> Bool) -> Int? {
                let words = words(sample.text)
                guard let noun = words.firstIndex(where: isNoun) else { return nil }
                return place(in: words[(noun + 1)...].prefix(3).joined(separator: " "))
            }
            if sample.mentions(.object) {
                let expected = sample.mentions(.position) ? sample.value(.position) : nil
                #expect(placeAfter(nouns.contains) == expected, "\(sample.text)")
            }
            if sample.mentions(.celestial), sample.value(.celestial) != 0, sample.mentions(.side) {
                #expect(placeAfter(bodies.contains) == sample.value(.side), "\(sample.text)")
            }
            let count = words(sample.text)
                .count { ["left", "middle", "centre", "center", "right"].contains($0) }
            #expect(count == [sample.mentions(.position), sample.mentions(.side)].count { $0 })
        }
    }

    @Test func thePhrasesReadWell() {
        let texts = samples(6000).map(\.text)
        for text in texts {
            #expect(!text.contains("  ") && !text.hasPrefix(" ") && !text.hasSuffix(" "))
            #expect(!text.contains(" ,") && !text.hasSuffix(","))
            #expect(text.firstMatch(of: #/\ba [aeio]/#) == nil, "\(text)")
            #expect(text.firstMatch(of: #/\ban [^aeio]/#) == nil, "\(text)")
            #expect(!text.contains("with a scene"))
        }
        let openings = Double(texts.count { $0.contains(#/^an? (\w+ of|scene with) /#) })
        #expect(openings / Double(texts.count) > 0.1)
        #expect(texts.contains { $0.hasPrefix("at night, ") }, "the sky may come first")
    }

    @Test func wordsAreThoseOfTheCaptions() {
        let words = samples(20_000).reduce(into: Set()) { $0.formUnion(self.words($1.text)) }
        #expect(words.sorted() == SceneCaption.words)
        #expect(SceneCaption.words.allSatisfy { $0.allSatisfy { ("a"..."z").contains($0) } })
    }
}
