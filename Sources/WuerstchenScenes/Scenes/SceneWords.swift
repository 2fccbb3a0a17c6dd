/// The phrases of captions. The outer arrays of tables are indexed by class.
enum SceneWords {
    static let objects = [
        ["house", "cottage", "cabin"],
        ["tree"],
        ["sailboat", "sailing boat", "boat", "yacht"],
        ["hot air balloon", "balloon"],
        ["lighthouse", "beacon"],
    ]

    static let colors = [
        ["red", "crimson", "scarlet"],
        ["blue", "azure"],
        ["yellow", "golden"],
        ["green", "emerald"],
        ["white"],
        ["purple", "violet"],
        ["orange"],
    ]

    static let sizes = [
        ["small", "little", "tiny"],
        ["large", "big", "huge"],
    ]

    /// Where the object is, or the sun or moon. The first of each is that of keyword lists.
    static let places = [
        ["on the left", "at the left", "to the left", "on the left side"],
        ["in the middle", "in the centre", "in the center", "at the center"],
        ["on the right", "at the right", "to the right", "on the right side"],
    ]

    static let skies = [
        [
            "on a clear day", "on a bright day", "in daylight", "under a clear sky",
            "under a blue sky", "in the daytime",
        ],
        ["at sunset", "at dusk", "in the evening", "under a sunset sky", "at sundown"],
        [
            "under an overcast sky", "under grey clouds", "under a cloudy sky", "on a cloudy day",
            "on a grey day",
        ],
        ["at night", "under the stars", "on a starry night", "under a starry sky", "in the night"],
    ]

    static let skyKeywords = [
        ["clear day", "daylight", "blue sky", "bright day"],
        ["sunset", "dusk", "evening", "sunset sky"],
        ["overcast", "cloudy sky", "grey clouds", "cloudy day"],
        ["night", "starry night", "starry sky", "stars"],
    ]

    /// The sun and the moons; nothing for their absence.
    static let celestials = [
        [],
        ["the sun", "a sun", "a bright sun"],
        ["a full moon", "the full moon", "a round moon"],
        ["a crescent moon", "a thin moon", "the crescent moon"],
    ]

    static let celestialKeywords = [
        [],
        ["sun", "bright sun"],
        ["full moon", "round moon"],
        ["crescent moon", "thin moon"],
    ]

    static let noSun = "no sun"
    static let noMoon = "no moon"

    /// Where a house, a tree or a lighthouse stands.
    static let groundsOfBuildings = [
        ["on green hills", "in the hills", "on a meadow", "in rolling hills", "among green hills"],
        [
            "in snowy mountains", "in the mountains", "below snowy peaks", "in the snow",
            "in front of snowy mountains",
        ],
        ["in the desert", "among sand dunes", "on desert dunes", "in a sandy desert"],
        ["on an island in the sea", "by the sea", "in the sea", "by the ocean", "at sea"],
        [
            "in front of a city", "in front of a skyline", "in the city", "near skyscrapers",
            "in front of a city skyline",
        ],
    ]

    static let groundsOfBoats = [
        ["on a lake in green hills", "among green hills", "in the hills"],
        ["on a lake in snowy mountains", "in the mountains", "below snowy peaks"],
        ["on an oasis in the desert", "in the desert", "among sand dunes"],
        ["on the sea", "at sea", "on the ocean", "in the sea"],
        ["in front of a city", "near a city skyline", "in front of skyscrapers"],
    ]

    static let groundsOfBalloons = [
        ["over green hills", "above the hills", "over a meadow"],
        ["over snowy mountains", "above the mountains", "over snowy peaks"],
        ["over the desert", "above sand dunes", "over desert dunes"],
        ["over the sea", "above the ocean", "over the water"],
        ["over the city", "above a city skyline", "over skyscrapers"],
    ]

    static let groundKeywords = [
        ["green hills", "hills", "meadow"],
        ["snowy mountains", "mountains", "snowy peaks"],
        ["desert", "sand dunes", "desert dunes"],
        ["sea", "ocean"],
        ["city", "city skyline", "skyscrapers"],
    ]

    /// What a sentence may start with.
    static let openings = [
        "a picture of", "a drawing of", "an illustration of", "a scene with", "a painting of",
    ]

    /// What a sentence is about that names neither the object nor the ground.
    static let scene = "a scene"

    /// What joins the sun or moon to a sentence.
    static let conjunctions = ["and", "with"]

    static let articles = ["the", "a", "an"]

    /// Where an object of the given class is, by the class of the ground.
    static func grounds(ofObject object: Int) -> [[String]] {
        switch object {
        case 2: groundsOfBoats
        case 3: groundsOfBalloons
        default: groundsOfBuildings
        }
    }

    /// All words, sorted.
    static let all: [String] = {
        let tables = [
            objects, colors, sizes, places, skies, skyKeywords, celestials, celestialKeywords,
            groundsOfBuildings, groundsOfBoats, groundsOfBalloons, groundKeywords,
            [openings, conjunctions, articles, [scene, noSun, noMoon]],
        ]
        let words = tables.joined().joined().flatMap { $0.split(separator: " ").map(String.init) }
        return Set(words).sorted()
    }()
}
