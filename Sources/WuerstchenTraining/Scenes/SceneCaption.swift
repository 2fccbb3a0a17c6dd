enum SceneCaption { static func draw(_ classes: [Int], _ random: inout RandomStream, mentionsAll: Bool = false) -> (text: String, isMentioned: [Bool]) { ("", [Bool](repeating: true, count: 8)) } }
