internal import WuerstchenTraining

/// Captions of scenes: sentences and keyword lists that leave out some of what there is to say, so
/// that a model learns to fill in what a prompt leaves open.
///
/// No caption has more than ``longest`` words and commas: all that there is to say never takes
/// more, and an opening is only put before a sentence that leaves room for it.
enum SceneCaption {
    /// The most words and commas: what fits between the two special tokens of a length of 32.
    static let longest = SceneTokenizer.length - 2

    /// All words of the grammar, sorted.
    static var words: [String] { SceneWords.all }

    /// Describes a scene.
    ///
    /// - Parameters:
    ///   - classes: The value of each ``SceneAttribute``, by its raw value.
    ///   - random: What chooses among the phrases.
    ///   - mentionsAll: Whether nothing is left out, rather than something now and then.
    /// - Returns: The caption, and which attributes it states, by raw value. That there is neither
    ///   sun nor moon is stated only where the caption says so; the side goes with either of them.
    static func draw(
        _ classes: [Int], _ random: inout RandomStream, mentionsAll: Bool = false
    ) -> (text: String, isMentioned: [Bool]) {
        var mentioned = Set(
            SceneAttribute.allCases.filter {
                mentionsAll || !random.chance(omissionRate(of: $0))
            })
        if classes[SceneAttribute.celestial.rawValue] == 0 {
            mentioned.remove(.side)
            if !mentionsAll, !random.chance(0.25) { mentioned.remove(.celestial) }
        }
        if !mentioned.contains(.object) { mentioned.subtract([.color, .position, .size]) }
        if !mentioned.contains(.celestial) { mentioned.remove(.side) }
        if mentioned.isEmpty { mentioned = [.object] }

        let description = Description(classes: classes, mentioned: mentioned)
        let text =
            random.chance(0.15)
            ? description.keywords(&random)
            : description.sentence(&random)
        return (text, SceneAttribute.allCases.map(mentioned.contains))
    }

    /// How often a caption does not mention an attribute, although it mentions what that belongs
    /// to.
    private static func omissionRate(of attribute: SceneAttribute) -> Float {
        switch attribute {
        case .object: 0.04
        case .color: 0.15
        case .position: 0.25
        case .size: 0.35
        case .ground: 0.12
        case .sky: 0.15
        case .celestial: 0.30
        case .side: 0.35
        }
    }

    /// Scenes drawn at random, with captions drawn afresh at every visit.
    ///
    /// - Parameters:
    ///   - classes: What each scene shows.
    ///   - seed: What the choice depends on.
    ///   - number: The batch's number.
    ///   - count: How many.
    /// - Returns: The scenes' indices, and captions that say which attributes they mention.
    static func draws(
        from classes: [[Int]], seed: UInt64, _ number: Int, count: Int
    ) -> (scenes: [Int], captions: [(text: String, isMentioned: [Bool])]) {
        var random = RandomStream(seed, 5, UInt64(number))
        let chosen = (0..<count).map { _ in random.integer(below: classes.count) }
        return (chosen, chosen.map { draw(classes[$0], &random) })
    }
}

/// What a caption is to say.
private struct Description {
    let classes: [Int]
    let mentioned: Set<SceneAttribute>

    /// The object first, then the rest in any order: "huge golden house in the middle, night,
    /// hills".
    func keywords(_ random: inout RandomStream) -> String {
        var others = [
            phrase(.ground, SceneWords.groundKeywords, &random),
            phrase(.sky, SceneWords.skyKeywords, &random),
            celestial(SceneWords.celestialKeywords, &random).map {
                joined([$0, keyword(.side, SceneWords.places)])
            },
        ].compactMap { $0 }
        random.shuffle(&others)
        let object = noun(&random).map { joined([$0, keyword(.position, SceneWords.places)]) }
        return ([object].compactMap { $0 } + others).joined(separator: ", ")
    }

    /// "An image of a tree on the left in the hills at night, with a full moon".
    func sentence(_ random: inout RandomStream) -> String {
        let object = object(&random)
        let ground =
            if object == nil {
                phrase(.ground, SceneWords.groundKeywords, &random)
            } else {
                phrase(
                    .ground,
                    SceneWords.grounds(ofObject: classes[SceneAttribute.object.rawValue]), &random)
            }
        let sky = phrase(.sky, SceneWords.skies, &random)
        let end = ending(&random)

        let subject = object ?? ground ?? SceneWords.scene
        let isNamed = object != nil || ground != nil
        let place = object == nil ? nil : ground
        var text: String
        if let sky, isNamed, random.chance(0.2) {
            text = "\(sky), \(joined([subject, place]))"
        } else {
            var parts = [place, sky].compactMap { $0 }
            if random.chance(0.35) { parts.reverse() }
            text = ([subject] + parts).joined(separator: random.chance(0.25) ? ", " : " ")
            let opening = random.element(of: SceneWords.openings)
            if isNamed, random.chance(0.25), fits([opening, text, end]) {
                text = "\(opening) \(text)"
            }
        }
        return text + end
    }

    /// The object with an article and its place.
    private func object(_ random: inout RandomStream) -> String? {
        guard let noun = noun(&random) else { return nil }
        let indefinite = noun.first.map("aeiou".contains) == true ? "an" : "a"
        let article = random.chance(0.1) ? "the" : indefinite
        return joined([article, noun, phrase(.position, SceneWords.places, &random)])
    }

    /// The object with its size and colour.
    private func noun(_ random: inout RandomStream) -> String? {
        guard mentioned.contains(.object) else { return nil }
        return joined([
            phrase(.size, SceneWords.sizes, &random),
            phrase(.color, SceneWords.colors, &random),
            phrase(.object, SceneWords.objects, &random),
        ])
    }

    /// What a sentence says of the sun or moon, with what goes before it.
    private func ending(_ random: inout RandomStream) -> String {
        guard let celestial = celestial(SceneWords.celestials, &random) else { return "" }
        let isThere = classes[SceneAttribute.celestial.rawValue] != 0
        let conjunction = SceneWords.conjunctions[isThere && random.chance(0.3) ? 0 : 1]
        let side = phrase(.side, SceneWords.places, &random)
        return (random.chance(0.4) ? ", " : " ") + joined([conjunction, celestial, side])
    }

    private func celestial(_ table: [[String]], _ random: inout RandomStream) -> String? {
        guard classes[SceneAttribute.celestial.rawValue] == 0 else {
            return phrase(.celestial, table, &random)
        }
        guard mentioned.contains(.celestial) else { return nil }
        let isNight = classes[SceneAttribute.sky.rawValue] == 3
        return isNight ? SceneWords.noMoon : SceneWords.noSun
    }

    /// One of the phrases for an attribute; nil if it is not to be mentioned.
    private func phrase(
        _ attribute: SceneAttribute, _ table: [[String]], _ random: inout RandomStream
    ) -> String? {
        guard mentioned.contains(attribute) else { return nil }
        return random.element(of: table[classes[attribute.rawValue]])
    }

    /// The first of the phrases for an attribute; nil if it is not to be mentioned.
    private func keyword(_ attribute: SceneAttribute, _ table: [[String]]) -> String? {
        mentioned.contains(attribute) ? table[classes[attribute.rawValue]].first : nil
    }

    private func joined(_ parts: [String?]) -> String {
        parts.compactMap { $0 }.joined(separator: " ")
    }

    /// Whether texts have no more words and commas than a caption may have.
    private func fits(_ texts: [String]) -> Bool {
        let counts = texts.map { text in
            text.split { $0 == " " || $0 == "," }.count + text.count { $0 == "," }
        }
        return counts.reduce(0, +) <= SceneCaption.longest
    }
}

extension RandomStream {
    fileprivate mutating func chance(_ probability: Float) -> Bool { uniform() < probability }

    fileprivate mutating func element<Element>(of elements: [Element]) -> Element {
        elements[integer(below: elements.count)]
    }

    /// Fisher and Yates's shuffle.
    fileprivate mutating func shuffle<Element>(_ elements: inout [Element]) {
        for last in elements.indices.dropFirst().reversed() {
            elements.swapAt(last, integer(below: last + 1))
        }
    }
}
