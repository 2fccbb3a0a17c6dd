public import Foundation

/// Small photographs as the bytes of files: 20 × 12 pixels, whose red is 12 times the column, whose
/// green is 16 times the row and whose blue is 128.
public enum SmallPhotos {
    /// JPEG, 4:4:4.
    public static let jpeg = data(
        """
        /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJ
        BwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoK
        CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wAARCAAMABQDAREAAhEBAxEB/8QAHwAAAQUBAQEBAQEAAAAAAAAA
        AAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAk
        M2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKT
        lJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/8QA
        HwEAAwEBAQEBAQEBAQAAAAAAAAECAwQFBgcICQoL/8QAtREAAgECBAQDBAcFBAQAAQJ3AAECAxEEBSExBhJBUQdh
        cRMiMoEIFEKRobHBCSMzUvAVYnLRChYkNOEl8RcYGRomJygpKjU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hp
        anN0dXZ3eHl6goOEhYaHiImKkpOUlZaXmJmaoqOkpaanqKmqsrO0tba3uLm6wsPExcbHyMnK0tPU1dbX2Nna4uPk
        5ebn6Onq8vP09fb3+Pn6/9oADAMBAAIRAxEAPwD87/h9+yp9z/iW+n8Ff01mXGO/vHxfBHHr933z3P4e/sqfc/4l
        vp/BX59mfGG/vH9g8Ecev3ffPYdE/ZUP9np/xLf/AByviK/GP71+9+J/UWU8ev6lH3zqfh98O/CvyH7B+o/wryMz
        zPGa+8f89HBGcY/3fePdPh78OvCvyD7B6dx/hX55mWaYzX3j+wOCM4x/u+8ewaJ8O/Cv9np/oH6//Wr4mvmmM9q/
        eP6iynOMf9Sj7x//2Q==
        """)

    /// JPEG in several passes.
    public static let progressive = data(
        """
        /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJ
        BwYGCAsICQoKCgoKBggLDAsKDAkKCgr/2wBDAQICAgICAgUDAwUKBwYHCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoK
        CgoKCgoKCgoKCgoKCgoKCgoKCgoKCgoKCgr/wgARCAAMABQDAREAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAA
        BgUI/8QAGAEAAwEBAAAAAAAAAAAAAAAABQYHBAn/2gAMAwEAAhADEAAAAc700K5XrAxCVGpj56Ol6wMAlR//xAAa
        EAACAwEBAAAAAAAAAAAAAAAABQMEBhMj/9oACAEBAAEFAl+VF+VIcr5r11UXrqpCuq8//8QAHBEAAgIDAQEAAAAA
        AAAAAAAABSEABAEDMRMj/9oACAEDAQE/AQh7jgQ9xyoe+OHAlzenAlzenKlzf44c/8QAHREAAgEFAQEAAAAAAAAA
        AAAAAAQDAgUxUWESIv/aAAgBAgEBPwFm8dGbx0rvH1kZZm2MtTbK2pvWT//EABYQAQEBAAAAAAAAAAAAAAAAAAAy
        M//aAAgBAQAGPwLNmzQhD//EABgQAQADAQAAAAAAAAAAAAAAAAAhMcER/9oACAEBAAE/Iacq8o2UFivKf//aAAwD
        AQACAAMAAAAQHOk//8QAFhEBAQEAAAAAAAAAAAAAAAAAAQAg/9oACAEDAQE/EHl5XFpQz//EABgRAQADAQAAAAAA
        AAAAAAAAAAARITHB/9oACAECAQE/ENTYv9LxYJk//8QAHBAAAQQDAQAAAAAAAAAAAAAAAAEhodFBYbHh/9oACAEB
        AAE/EI4wxXFee0oZdcpRcfh//9k=
        """)

    /// JPEG of the greys alone.
    public static let grey = data(
        """
        /9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJ
        BwYGCAsICQoKCgoKBggLDAsKDAkKCgr/wAALCAAMABQBAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcI
        CQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcY
        GRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKj
        pKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/APzv
        +H37Kn3P+Jb6fwV7n8Pf2VPuf8S30/gr2HRP2VD/AGen/Et/8crqfh98O/CvyH7B+o/wr3T4e/Drwr8g+wencf4V
        7Bonw78K/wBnp/oH6/8A1q//2Q==
        """)

    /// JPEG of inks, as Photoshop writes it.
    public static let cmyk = data(
        """
        /9j/7gAOQWRvYmUAZAAAAAAA/9sAQwACAQEBAQECAQEBAgICAgIEAwICAgIFBAQDBAYFBgYGBQYGBgcJCAYHCQcG
        BggLCAkKCgoKCgYICwwLCgwJCgoK/8AAFAgADAAUBEMRAE0RAFkRAEsRAP/EAB8AAAEFAQEBAQEBAAAAAAAAAAAB
        AgMEBQYHCAkKC//EALUQAAIBAwMCBAMFBQQEAAABfQECAwAEEQUSITFBBhNRYQcicRQygZGhCCNCscEVUtHwJDNi
        coIJChYXGBkaJSYnKCkqNDU2Nzg5OkNERUZHSElKU1RVVldYWVpjZGVmZ2hpanN0dXZ3eHl6g4SFhoeIiYqSk5SV
        lpeYmZqio6Slpqeoqaqys7S1tre4ubrCw8TFxsfIycrS09TV1tfY2drh4uPk5ebn6Onq8fLz9PX29/j5+v/aAA4E
        QwBNAFkASwAAPwD8p/2JP+XT/gNfm/8A8O2/+oB/5Cor9/K/YD9iT/l0/wCA0f8ADtv/AKgH/kKiiv1E+E//ACJN
        r/nsKP8Ah23/ANQD/wAhUUV/J3+xJ/y6f8Br9sP+FFfDj/oDfqP8KKK/YD9iT/l0/wCA0f8ACivhx/0Bv1H+FFFf
        qJ8J/wDkSbX/AD2FH/Civhx/0Bv1H+FFFf/Z
        """)

    /// WebP without losses, whose first five columns nobody sees.
    public static let webp = data(
        """
        UklGRmgAAABXRUJQVlA4TFsAAAAvE8ACEM2VIaL/sYsoeP9DwahtJEmGMPzp7lVaBHkoaiRJWd49kHT+9TA8BQJJ
        6COPICAo8n+0CQCq0lrlY9cDa/kjiYkPZZENZJFOEoPyoSyygSzSSWJQPpQLAA==
        """)

    /// WebP whose Exif says that it must be turned a quarter clockwise.
    public static let turned = data(
        """
        UklGRl4AAABXRUJQVlA4WAoAAAAIAAAAEwAACwAAVlA4TB4AAAAvE8ACALmM6H/sIqL/ASEBYYL/izV1GAYwJgCp
        lDVFWElGGgAAAE1NACoAAAAIAAEBEgADAAAAAQAGAAAAAAAA
        """)

    /// WebP of two frames.
    public static let animated = data(
        """
        UklGRrQCAABXRUJQVlA4WAoAAAACAAAAEwAACwAAQU5JTQYAAAAAAAAAAABBTk1GQAEAAAAAAAAAABMAAAsAAAAA
        AAJWUDhMJwEAAC8TwAIAf0eYbTSEop2/1H2HYQDnvw4ZAAAAAACWhwMAYgAABJPZyLZt27Zt27Zt27Zt27bdOxH9
        DwCGgkVARsPEwScipaCmY2Rh5+IFiKVkFZTVNHX0jUwtrO0cXdy9fAXhqNiE5LTMnPyi0orqusaW9q7ewHhqdmF5
        bXNn/+j04vru8eX963cIAQ2HiIKOhUtATEZJQ8/EysHNB5SQllNUUdfSNTA2s7Sxd3L18PYTRkTHJaakZ+UWFJdV
        1tQ3tXZ09wUnpucWV9a3dg+Ozy5v7p9eP77/RpAw8EioGNh4hCTkVLQMzGycPPwgSRl5JVUNbT1DE3MrWwdnN08f
        f1FkTHxSakZ2XmFJeVVtQ3NbZ09/aHJmfml1Y3vv8OT86vbh+e3z538AQU5NRkABAAAAAAAAAAATAAALAAAAAAAA
        VlA4TCcBAAAvE8ACAH9HmG00hKKdv9R9h2EA578OGQAAAAAAlocDAGIAAAST2ci2bdu2bdu2bdu2bdu23TsR/Y+X
        i52FkY6agpQIHwcTDRkBFgoM4PVyd3G0s7YwNdLX0VRTVpCVEgt8u9pbGuuqK0qL8nMy05ITYqPCgd6v95fHu+uL
        06P9nc215YXZqfHgj5uDlYmehpKMmAAXCx0FEQ4aAsjn7eHqZG9jaWZsoKulrqIoJy0h9OvuaG2qr6ksKy7IzUpP
        SYyLjgj2fX+8Pt3fXJ4dH+xura8szk1PDP95ONmYGWipyEkI8bAxUJHgYSBB/D6ebs4OtlbmJoZ62hqqSvIykiL/
        ns625obaqvKSwrzsjNSk+JjIUP/P59vzw+3V+cnh3vbG6tL8zORoAA==
        """)

    private static func data(_ text: String) -> Data {
        Data(base64Encoded: text, options: .ignoreUnknownCharacters) ?? Data()
    }
}
